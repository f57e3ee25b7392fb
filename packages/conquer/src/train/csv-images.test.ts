import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { openCsv } from '../datasets/csv.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { evaluateRun } from './evaluate-run.js';
import { train } from './train.js';

const [SCENES, ACROSS, SIDE] = [6, 8, 16];

let folder: string;
/** Scenes of coloured squares, of which each is a box; a column is a colour. */
beforeAll(async () => {
  folder = temporaryFolder();
  for (let scene = 0; scene < SCENES; scene++) {
    const pixels = Buffer.alloc(ACROSS * SIDE * SIDE * 3);
    for (let i = 0; i < pixels.length; i += 3) {
      const column = Math.floor((i / 3 / SIDE) % ACROSS);
      for (let c = 0; c < 3; c++)
        pixels[i + c] = ((column >> c) & 1) * 180 + ((i * 31 + scene * 57 + c) % 60);
    }
    const raw = { width: ACROSS * SIDE, height: SIDE, channels: 3 } as const;
    await sharp(pixels, { raw })
      .png()
      .toFile(join(folder, `${scene}.png`));
  }
});

const split = (column: number) => (column < 4 ? 'train' : 'test');
const write = (name: string, header: string, line: (scene: number, column: number) => string) => {
  const lines = Array.from({ length: SCENES * ACROSS }, (_, i) => line(Math.floor(i / ACROSS), i % ACROSS));
  writeFileSync(join(folder, name), [header, ...lines].join('\n'));
  return join(folder, name);
};
const box = (column: number) => `${column * SIDE},0,${SIDE},${SIDE}`;

const experiment = (file: string, loss: ExperimentInput['loss'], cache: boolean): ExperimentInput => ({
  data: {
    dataset: { name: 'csv', file },
    imageSize: 16,
    resize: 16,
    batchSize: 16,
    samplesPerClass: 4,
    cache,
  },
  model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 8 },
  loss,
  divide: { numLearners: 1 },
  train: { epochs: 2, threads: 1 },
});

it('trains on boxes and evaluates on them, from files as from kept pixels', async () => {
  const file = write('boxes.csv', 'path,x,y,w,h,label,split', (scene, column) =>
    [`${scene}.png`, box(column), `c${column}`, split(column)].join(),
  );
  const runs: string[] = [];
  for (const cache of [true, false]) {
    const run = join(folder, `boxes-${cache}`);
    const { best } = await train(experiment(file, { name: 'multi-similarity' }, cache), { run });
    expect(best?.metrics['R@1']).toBeGreaterThan(0.6);
    runs.push(run);
  }
  const [run] = runs as [string];
  const { queries } = RunFolder.open(run).testImages();
  expect(queries.paths[0]).toBe(join(folder, `0.png#xywh=${4 * SIDE},0,${SIDE},${SIDE}`));
  const again = await evaluateRun(
    run,
    resolveExperiment(experiment(file, { name: 'multi-similarity' }, true)),
  );
  const recorded = RunFolder.open(run).epochs().at(-1)!.metrics!;
  if (again.epoch === RunFolder.open(run).epochs().at(-1)!.epoch)
    expect(again.metrics['R@1']).toBe(recorded['R@1']);
  // Other boxes are other data.
  writeFileSync(file, readFileSync(file, 'utf8').replace('0.png,0,0,16,16', '0.png,0,0,15,16'));
  await expect(
    evaluateRun(run, resolveExperiment(experiment(file, { name: 'multi-similarity' }, true))),
  ).rejects.toThrow(/0\.png#xywh=0,0,16,16|0\.png#xywh=0,0,15,16/);
});

it('trains on images of several labels, with losses that take them, and measures what shares one', async () => {
  const file = write('labels.csv', 'path,x,y,w,h,labels,split', (scene, column) =>
    // Half of the test images are of two colours' labels.
    [`${scene}.png`, box(column), `c${column}${scene % 2 ? `;c${column ^ 1}` : ''}`, split(column)].join(),
  );
  const { train: trains } = await openCsv({ file });
  expect(trains.labelSets).toHaveLength(SCENES * 4);
  const run = join(folder, 'labels');
  const { best } = await train(experiment(file, { name: 'multi-similarity' }, false), { run });
  expect(Object.keys(best?.metrics ?? {})).toEqual(expect.arrayContaining(['R@1', 'R@1 SE', 'R@8', 'MAP@R']));
  const { metrics } = await evaluateRun(
    run,
    resolveExperiment(experiment(file, { name: 'multi-similarity' }, false)),
  );
  expect(metrics['R@1']).toBeGreaterThan(0.5);
  await expect(
    train(experiment(file, { name: 'normalized-softmax' }, false), { run: join(folder, 'refused') }),
  ).rejects.toThrow(/the loss takes one label an image, and images of this data set have several/);
});
