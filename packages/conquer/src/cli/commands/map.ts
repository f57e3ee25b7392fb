import { IndexFolder, RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { mapRun } from '../../map/map-run.js';
import { mapIndex } from '../../retrieve/map-index.js';
import { folderOf } from '../../retrieve/stores/stores.js';
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
    .description("lay a run's test images, or an index, out in the plane")
    .argument('<run>', 'a run, or an index in a folder')
    .option('--learners', "each learner's embedding of a run too")
    .option('--threads <n>', 'CPU threads [one a core]')
    .option('--json', 'print a line of JSON for each map')
    .addHelpText(
      'after',
      '\nA run does this at its end (--map no leaves it out). The map is kept in the run,\nor in the index until its items change; the dashboard shows it.\nExample: conquer map runs/mine --learners\n         conquer map photos.index\n         conquer dashboard photos.index',
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

async function runMap({ run: named, learners, threads, json, out, progress }: MapCommand): Promise<void> {
  const count = threads === undefined ? undefined : wholeNumberOf('--threads', threads);
  const path = folderOf(named);
  const isIndex = new IndexFolder(path).exists();
  if (isIndex && learners) throw new UserError(`--learners: it is for a run, ${path} is an index`);
  const run = isIndex ? path : findRun(path);
  if (!isIndex && !RunFolder.exists(run))
    throw new UserError(
      `${path}: expected a run that conquer train wrote, or an index in a folder, there is none`,
    );
  namingFlags(() => setUpEngine({ train: { threads: count } }));
  using stop = new StopSignals(progress);
  const options = {
    stop: stop.signal,
    onPreparation: (what: string) => progressBar(progress, what),
  };
  const maps = isIndex
    ? [await mapIndex(run, options)]
    : await mapRun(RunFolder.open(run), { learners, ...options });
  const what = isIndex ? 'images' : 'test images';
  for (const { file, learner, points } of maps)
    out.write(json ? `${JSON.stringify({ file, learner, points })}\n` : `${file} (${points} ${what})\n`);
}
