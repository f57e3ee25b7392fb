import { join } from 'node:path';
import type { Command } from 'commander';
import { builtInParts } from '../../experiment/experiment.js';
import { mergeExperiments } from '../../experiment/merge.js';
import { readRecipe } from '../../experiment/recipe.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { fillExperiment } from '../fill.js';
import { flagsOf } from '../flags.js';
import type { Output } from '../terminal.js';
import { reportFiles, reportSummary, runTraining, setAside } from '../train.js';

export function add(program: Command): undefined {
  program
    .command('demo')
    .description('train on the emoji data set for a few minutes and report')
    .option('--seed <n>', 'of everything that is drawn', '1')
    .addHelpText('after', '\nExample: conquer demo')
    .action(async ({ seed }: { seed: string }) => await runDemo(seed, process.stdout));
}

/** Trains on emoji with division into learners, reports, and says what to try next. */
async function runDemo(seed: string, out: Output): Promise<void> {
  const { experiment: recipe } = readRecipe('demo');
  const filled = fillExperiment(recipe, { seed }, flagsOf(builtInParts), () => {});
  const experiment = resolveExperiment(mergeExperiments(recipe, filled));
  const path = join('runs', 'demo');
  const aside = setAside(path);
  if (aside) out.write(`the demo's last run is kept in ${aside}\n`);
  const summary = await runTraining({ experiment, path, out });
  reportSummary(summary, out);
  reportFiles(path, out);
  out.write(
    `\nWhat to try next\n` +
      `  evaluate again     npx conquer eval ${path}\n` +
      `  train longer       npx conquer train --resume ${path} --epochs ${experiment.train.epochs + 4} --lr-after restart\n` +
      `  your own images    npx conquer train --recipe photos --dataset-dir PATH --name mine\n` +
      `                     (PATH: a subfolder of photographs for each class)\n`,
  );
}
