import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { miniatures } from '../packages/conquer/src/testing/miniatures.ts';
import { ROOT } from './places.mjs';

const small =
  '--allow-partial yes --arch small-resnet --widths 4,8 --weights none --bn trained --embedding-dim 16 --image-size 32 --resize 36 --epochs 1 --batch-size 6 --samples-per-class 2 --num-learners 2 --start-learners 2 --lr 1e-3 --threads 1';

describeWithPython("the paper's table", ['scipy', 'numpy'], () => {
  it('has ours beside theirs where the data are, and says where they are not', async () => {
    const folder = temporaryFolder();
    for (const name of ['cub', 'vid']) await miniatures[name](folder, 'data');
    const out = join(folder, 'paper.md');
    const args = [join(folder, 'data'), '--runs', join(folder, 'runs'), '--out', out];
    const paper = (rows) =>
      execFileSync(
        process.execPath,
        [join(ROOT, 'board/paper.mjs'), ...args, '--rows', rows, '--', ...small.split(' ')],
        {
          encoding: 'utf8',
        },
      );
    expect(paper('^(cub|vid-fixed|sop)$')).toMatch(/^cub: ours R@1 [\d.]+, R@2 .*; published R@1 67\.7, /m);
    const text = readFileSync(out, 'utf8');
    expect(text).toMatch(
      /\| CUB-200-2011, learned masks \| R@1 [\d.]+, .*NMI [\d.]+ \(epoch 1\) \| R@1 67\.7, .* \| -?\d/,
    );
    expect(text).toMatch(
      /\| PKU VehicleID, large test set, fixed masks \| R@1 [\d.]+ \(epoch 1\) \| R@1 94\.0 \|/,
    );
    expect(text).toMatch(/- Stanford Online Products, learned masks \(`sop`\): not run: .*sop.*/);
    expect(text).toContain('- Cars196, learned masks (`cars`): not run: not asked for');
    expect(text).toContain('Not the recipes as they are: all rows with `--allow-partial yes');
    const config = JSON.parse(readFileSync(join(folder, 'runs/vid-fixed/config.json'), 'utf8'));
    expect(JSON.stringify(config)).toContain('"kind":"fixed"');
    expect(existsSync(join(folder, 'runs/sop'))).toBe(false);
    // What was trained is not trained again, and stays in the table.
    paper('^$');
    expect(readFileSync(out, 'utf8')).toContain('| CUB-200-2011, learned masks | R@1');
  });
});
