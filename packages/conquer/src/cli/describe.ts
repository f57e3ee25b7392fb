import { counted, valueAt } from '@conquer-dml/run';
import type { Split } from '../datasets/dataset.js';
import { buildDataset, buildSchedule } from '../experiment/build.js';
import type { Experiment, ExperimentInput, Parts } from '../experiment/experiment.js';
import { settleDivision } from '../experiment/settle-division.js';
import { flagValue, withFlags } from './fill.js';
import { type Flag, flagsOf, shownValue } from './flags.js';
import { type Output, progressBar } from './terminal.js';

/** A line for each flag that means anything in the experiment: its value, and where it is from. */
export function describeExperiment(
  experiment: Experiment,
  flags: readonly Flag[],
  layers: Readonly<Record<string, ExperimentInput>>,
  given: Readonly<Record<string, string>>,
): string {
  const lines = flags.flatMap((flag) => {
    const value = flagValue(experiment, flag);
    if (value === undefined) return [];
    const has = (layer: ExperimentInput) =>
      flag.targets.some(({ path, option, part }) => {
        if (path === 'track') return layer.track?.some(({ name }) => name === part) ?? false;
        return valueAt(layer, option === null ? path : `${path}.${option}`) !== undefined;
      });
    const from = flag.name in given ? 'flag' : Object.keys(layers).findLast((layer) => has(layers[layer]!));
    const text = shownValue(value, flag.words) ?? '-';
    return [`${`--${flag.name}`.padEnd(30)} ${text.padEnd(24)} ${from ?? 'default'}\n`];
  });
  return lines.join('');
}

/** What the data set of an experiment holds, a line a split, and what follows from it. */
export async function describeDataset(experiment: Experiment, parts: Parts, out: Output): Promise<string> {
  const dataset = await buildDataset(experiment, {
    parts,
    onPreparation: (what) => progressBar(out, what),
    onWarning: (text) => void out.write(`warning: ${text}\n`),
  });
  const line = ({ name, paths, classNames }: Split) =>
    `${dataset.name}, ${name}: ${counted(paths.length, 'image')} of ${counted(classNames.length, 'class', 'classes')}\n`;
  const { train, test, validation, gallery, testSets = [test] } = dataset;
  const { experiment: whole, why } = settleDivision(experiment, train, null);
  // What training would refuse.
  buildSchedule(whole);
  return [train, ...(validation ? [validation] : []), ...testSets, ...(gallery ? [gallery] : [])]
    .filter(({ paths }) => paths.length > 0)
    .map(line)
    .concat(why === null ? [] : `${withFlags(why, flagsOf(parts))}\n`)
    .join('');
}
