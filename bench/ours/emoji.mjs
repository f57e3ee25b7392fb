// The method on emoji through the library's own command: `--recipe FILE --epochs N`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTraining } from '../../packages/conquer/dist/cli/train.js';
import { mergeExperiments, readRecipe, resolveExperiment } from '../../packages/conquer/dist/index.js';
import { RunFolder } from '../../packages/run/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const { recipe, epochs } = sideArguments();
const silent = { write: () => true };

await serve(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-bench-'));
  try {
    const path = join(folder, 'run');
    const { experiment } = readRecipe(recipe);
    const train = { epochs: Number(epochs), threads: 2 };
    const summary = await runTraining({
      experiment: resolveExperiment(mergeExperiments(experiment, { train })),
      path,
      out: silent,
    });
    const records = RunFolder.open(path).epochs();
    const recall = Math.max(...records.map(({ metrics }) => metrics?.['R@1'] ?? 0));
    return { miss: 1 - recall, trainSeconds: summary.seconds.train };
  } finally {
    rmSync(folder, { recursive: true });
  }
});
