import { join } from 'node:path';
import { resolveSettings } from './options.js';
import { readRecipe } from './recipe.js';
import type { Output } from './terminal.js';
import { reportFiles, reportSummary, runTraining, setAside } from './train.js';

export interface DemoRequest {
  seed: string;
  out: Output;
}

/** The demo: train on emoji with division into learners, report, and say what to try next. */
export async function runDemo({ seed, out }: DemoRequest): Promise<void> {
  const settings = resolveSettings(readRecipe('demo').settings, { name: 'demo', seed });
  const path = join(settings['runs-dir'], 'demo');
  const aside = setAside(path);
  if (aside) out.write(`the demo's last run is kept in ${aside}\n`);
  const summary = await runTraining({ settings, out });
  reportSummary(summary, out);
  reportFiles(path, out);
  out.write(
    `\nWhat to try next\n` +
      `  evaluate again     npx conquer eval ${path}\n` +
      `  train longer       npx conquer train --resume ${path} --epochs ${settings.epochs + 4} --lr-after restart\n` +
      `  your own images    npx conquer train --recipe photos --dataset-dir PATH --name mine\n` +
      `                     (PATH: a subfolder of photographs for each class; fetches ImageNet weights once)\n`,
  );
}
