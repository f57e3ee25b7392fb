import { type Calibration, IndexFolder, RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { calibrateIndex, calibrateStore } from '../../retrieve/calibrate-index.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { StoreIndex } from '../../retrieve/store-index.js';
import { placeOf, storeAddress } from '../../retrieve/stores/stores.js';
import { calibrateRun } from '../../train/calibrate-run.js';
import { precisionOption } from '../embedding-flags.js';
import { namingFlags } from '../fill.js';
import { movable } from '../resumption.js';
import { findRun } from '../runs.js';
import { storedExperiment } from '../stored.js';
import { type Output, progressBar } from '../terminal.js';
import { givenFlags, partsOf } from '../train-flags.js';

interface CalibrateFlags {
  plugin?: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('calibrate')
    .description('find from which similarity on two images are the same')
    .argument(
      '<run|index>',
      'a run, by its unseen classes, or an index (also in a --store), by its labelled items',
    )
    .option('--dataset-dir <path>', "where a run's data set lies now (default: as trained)")
    .option('--device <device>', 'cpu, or cuda:0, … (default: as trained)')
    .addOption(precisionOption('[as trained]'))
    .option('--threads <n>', 'CPU threads (default: as trained)')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      '\nIt is kept in the run, from where new indexes have it, or in the index.\nExample: conquer calibrate runs/mine\n         conquer search runs/mine/PHOTOS.index a.jpg --max-false-match 0.001',
    )
    .action(async (path: string, flags: CalibrateFlags, command: Command) => {
      const given = givenFlags(command, movable);
      await runCalibrate({ path, ...flags, given, out: process.stdout, progress: process.stderr });
    });
}

export interface CalibrateCommand extends CalibrateFlags {
  path: string;
  /** Where a run's data set and its machine are now. */
  given: Readonly<Record<string, string>>;
  out: Output;
  /** Takes progress and warnings. */
  progress: Output;
}

/** Calibrates a run or an index, and says what came out. */
export async function runCalibrate(command: CalibrateCommand): Promise<void> {
  const { path, json, out } = command;
  const calibration = await (storeAddress(path)?.kind
    ? ofStore(path)
    : new IndexFolder(placeOf(path)).exists()
      ? ofIndex(placeOf(path))
      : ofRun(command));
  if (json) out.write(`${JSON.stringify(calibration)}\n`);
  else out.write(calibrationText(calibration));
}

async function ofStore(address: string): Promise<Calibration> {
  await using index = await StoreIndex.open(address, { write: true });
  return await calibrateStore(index);
}

function ofIndex(path: string): Calibration {
  using lock = ImageIndex.lock(path);
  using index = ImageIndex.open(path);
  const calibration = calibrateIndex(index);
  index.save(path, { lock });
  return calibration;
}

async function ofRun({ path, plugin, given, progress }: CalibrateCommand): Promise<Calibration> {
  const run = findRun(path);
  if (!RunFolder.exists(run))
    throw new UserError(`${path}: expected a run, or an index that conquer index wrote; it is neither`);
  const parts = await partsOf(plugin === undefined ? [] : ['--plugin', plugin]);
  const experiment = storedExperiment(run, given, parts, (text) => void progress.write(`note: ${text}\n`));
  return await namingFlags(() =>
    calibrateRun(run, experiment, {
      parts,
      onPreparation: (what) => progressBar(progress, what),
      onWarning: (text) => void progress.write(`warning: ${text}\n`),
    }),
  );
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(2))} %`;

/** In words, a line for each rate. */
export function calibrationText(calibration: Calibration): string {
  const { source, classes, images, samePairs, differentPairs, thresholds, refused } = calibration;
  return [
    `${source}: ${images} images of ${classes} classes, ${samePairs} pairs of one class, ${differentPairs} of two`,
    ...thresholds.map(
      ({ rate, similarity, interval: [low, high], found }) =>
        `false-match rate ${percent(rate)} (${percent(low)} to ${percent(high)}): similarity ${similarity.toFixed(4)}, finds ${percent(found)} of the pairs of one class`,
    ),
    ...refused.map(({ rate, reason }) => `false-match rate ${percent(rate)}: not supported, ${reason}`),
    '',
  ].join('\n');
}
