import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeNoise } from '@conquer-dml/testing/noise';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { indexCsv } from './index-csv.js';
import { openModel } from './open-model.js';

it('indexes boxes as items of their own, and finds each by its own name', async () => {
  const folder = temporaryFolder();
  await writeNoise(join(folder, 'scene.png'), 80, 60, 5);
  const file = join(folder, 'boxes.csv');
  const boxes = ['0,0,30,30', '30,0,30,30', '0,30,30,30'];
  writeFileSync(file, ['path,x,y,w,h,label', ...boxes.map((box) => `scene.png,${box},a`)].join('\n'));
  using model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  const { index, embedded } = await indexCsv(model, file);
  expect([index.count, embedded]).toEqual([3, 3]);
  for (const box of boxes) {
    const query = `${join(folder, 'scene.png')}#xywh=${box}`;
    const [[first] = []] = index.search(await model.embed([query]), 3);
    expect(first?.id).toBe(`scene.png#xywh=${box}`);
  }
  const again = await indexCsv(model, file, { previous: index });
  expect(again.embedded).toBe(0);
  again.index.dispose();
  index.dispose();
  writeFileSync(file, 'path,x,y,w,h\nscene.png,0,0,30,30\nscene.png,60,0,30,30\n');
  await expect(indexCsv(model, file)).rejects.toThrow(
    /line 3: expected a box inside of .*scene\.png, which has 80×60/,
  );
});
