import { RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { mapRun } from '../../map/map-run.js';
import { setUpEngine } from '../../train/engine.js';
import { namingFlags } from '../fill.js';
import { findRun } from '../runs.js';
import { StopSignals } from '../stop-signals.js';
import { type Output, progressBar } from '../terminal.js';
import { wholeNumberOf } from '../whole-number.js';

interface MapFlags {
  learners?: boolean;
  threads?: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('map')
    .description("lay a run's test images out in the plane, for the dashboard")
    .argument('<run>', 'a run')
    .option('--learners', "each learner's embedding too")
    .option('--threads <n>', 'CPU threads [one a core]')
    .option('--json', 'print a line of JSON for each map')
    .addHelpText(
      'after',
      '\nA run does this at its end (--map no leaves it out). The map is kept in the run.\nExample: conquer map runs/mine --learners\n         conquer dashboard runs/mine',
    )
    .action(
      async (run: string, flags: MapFlags) =>
        await runMap({ run, ...flags, out: process.stdout, progress: process.stderr }),
    );
}

interface MapCommand extends MapFlags {
  run: string;
  out: Output;
  /** Takes progress. */
  progress: Output;
}

async function runMap({ run: path, learners, threads, json, out, progress }: MapCommand): Promise<void> {
  const count = threads === undefined ? undefined : wholeNumberOf('--threads', threads);
  const run = findRun(path);
  if (!RunFolder.exists(run))
    throw new UserError(`${path}: expected a run that conquer train wrote, there is none`);
  namingFlags(() => setUpEngine({ train: { threads: count } }));
  using stop = new StopSignals(progress);
  const maps = await mapRun(RunFolder.open(run), {
    learners,
    stop: stop.signal,
    onPreparation: (what) => progressBar(progress, what),
  });
  for (const { file, learner, points } of maps)
    out.write(json ? `${JSON.stringify({ file, learner, points })}\n` : `${file} (${points} test images)\n`);
}
