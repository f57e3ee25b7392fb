// The method on emoji through the library's own command: `--recipe FILE` and any settings, `--epochs N`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolveSettings } from '../../packages/conquer/dist/cli/options.js';
import { readRecipe } from '../../packages/conquer/dist/cli/recipe.js';
import { runTraining } from '../../packages/conquer/dist/cli/train.js';
import { RunFolder } from '../../packages/run/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const { recipe, images: _images, workers: _workers, ...flags } = sideArguments();
const silent = { write: () => true };

await serve(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-bench-'));
  try {
    const settings = resolveSettings(readRecipe(recipe).settings, {
      ...flags,
      'runs-dir': folder,
      name: 'run',
      threads: 2,
    });
    const summary = await runTraining({ settings, out: silent });
    const epochs = RunFolder.open(join(folder, 'run')).epochs();
    const recall = Math.max(...epochs.map(({ metrics }) => metrics?.['R@1'] ?? 0));
    return { miss: 1 - recall, trainSeconds: summary.seconds.train };
  } finally {
    rmSync(folder, { recursive: true });
  }
});
