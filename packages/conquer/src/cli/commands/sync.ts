import { RunFolder, UserError, valueAt } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import { buildTrackers } from '../../experiment/build.js';
import { builtInParts } from '../../experiment/experiment.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { Tracking } from '../../track/tracking.js';
import { fillExperiment, namingFlags } from '../fill.js';
import { type Flag, flagsOf } from '../flags.js';
import { findRun } from '../runs.js';
import { givenFlags } from '../train-flags.js';

const flags = flagsOf(builtInParts).filter(({ targets }) => targets.some(({ path }) => path === 'track'));
const shown = ({ name, kind }: Flag) => (kind === 'truth' ? `--${name}` : `--${name} <${kind}>`);

export function add(program: Command): undefined {
  const sync = program
    .command('sync')
    .description('tell a tracker of a run that was trained without it')
    .argument('<run>', 'the run folder')
    .addHelpText('after', '\nExample: conquer sync runs/demo --wandb my-project')
    .action(async (run: string) => await runSync(findRun(run), givenFlags(sync, names)));
  const names = flags.map(({ name }) => name);
  for (const flag of flags) sync.addOption(new Option(shown(flag), flag.help).preset('yes'));
}

/** Tells trackers of a run that is over, from its log. @param given the trackers' flags, and their texts */
async function runSync(run: string, given: Readonly<Record<string, string>>): Promise<void> {
  const asked = namingFlags(() => resolveExperiment(fillExperiment({}, given, flags, () => {})).track);
  if (asked.length === 0) throw new UserError(`sync with what? Give ${flags.map(shown).join(' or ')}`);
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
