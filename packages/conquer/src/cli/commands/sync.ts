import { RunFolder, UserError, valueAt } from '@conquer/run';
import type { Command } from 'commander';
import { buildTrackers } from '../../experiment/build.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { Tracking } from '../../track/tracking.js';
import { namingFlags } from '../fill.js';
import { findRun } from '../runs.js';

interface SyncFlags {
  wandb?: string;
  mlflow?: string;
  tensorboard?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('sync')
    .description('tell a tracker of a run that was trained without it')
    .argument('<run>', 'the run folder')
    .option('--wandb <project>', 'Weights & Biases: PROJECT or ENTITY/PROJECT; needs WANDB_API_KEY')
    .option('--mlflow <url>', 'the MLflow server at this address')
    .option('--tensorboard', "TensorBoard: event files in the run's folder")
    .addHelpText('after', '\nExample: conquer sync runs/demo --wandb my-project')
    .action(async (run: string, options: SyncFlags) => await runSync(findRun(run), options));
}

/** Tells trackers of a run that is over, from its log. */
async function runSync(run: string, { tensorboard = false, wandb, mlflow }: SyncFlags): Promise<void> {
  const asked = namingFlags(() =>
    resolveExperiment({
      track: [
        ...(tensorboard ? [{ name: 'tensorboard' as const }] : []),
        ...(wandb === undefined ? [] : [{ name: 'wandb' as const, project: wandb }]),
        ...(mlflow === undefined ? [] : [{ name: 'mlflow' as const, url: mlflow }]),
      ],
    }),
  ).track;
  if (asked.length === 0)
    throw new UserError('sync with what? Give --wandb PROJECT, --mlflow URL or --tensorboard');
  const trackers = namingFlags(() => buildTrackers({ track: asked }));
  const folder = RunFolder.open(run);
  if (folder.epochs().length === 0) throw new UserError(`${run} has logged no epoch yet`);
  const followers = (valueAt(folder.experiment(), 'track') ?? []) as object[];
  const follows = asked.some((one) =>
    followers.some((other) => Object.entries(one).every(([name, value]) => valueAt(other, name) === value)),
  );
  if (follows && folder.runningProcess() !== null)
    throw new UserError(`${run} is being trained, and tells of itself: wait until it has ended`);
  const failures: string[] = [];
  for (const tracker of trackers) {
    const before = failures.length;
    const tracking = new Tracking(tracker, {
      run: folder,
      onWarning: (message) => failures.push(message),
      onNote: (message) => void process.stdout.write(`note: ${message}\n`),
    });
    tracking.tellPast();
    const summary = folder.summary();
    await tracking.end(summary?.status ?? 'stopped', summary);
    if (failures.length === before)
      process.stdout.write(`${tracker.name} has ${folder.epochs().length} records of ${run}\n`);
  }
  if (failures.length > 0)
    throw new UserError(failures.join('; ').replaceAll('follows the run, which goes on', 'takes it'));
}
