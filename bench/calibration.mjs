// What a calibration states and what is so on other classes: half of an index's classes calibrate, the other half is looked at, twenty times.
//   node bench/calibration.mjs INDEX [--splits 20]
import { tensor } from '@conquer-dml/torch';
import { observedRate } from '../packages/conquer/dist/evaluate/calibrate.js';
import { calibrate, ImageIndex } from '../packages/conquer/dist/index.js';
import { Random } from '../packages/conquer/dist/random.js';
import { commandLine } from './command-line.mjs';
import { median } from './sides.mjs';

const { positionals, values } = commandLine({ splits: { type: 'number', default: 20 } }, ['INDEX']);
const [[path], { splits }] = [positionals, values];
const index = ImageIndex.open(path);
const numbers = new Map();
const labels = [];
for (const { labels: own, images } of index.items()) {
  if (!numbers.has(own[0])) numbers.set(own[0], numbers.size);
  for (const _ of images) labels.push(numbers.get(own[0]));
}
const rows = index.allRows();
const some = (isIn) => {
  const places = [...labels.keys()].filter((at) => isIn(labels[at]));
  const order = tensor(Int32Array.from(places), { dtype: 'int64' });
  return [rows.indexSelect(0, order), Int32Array.from(places, (at) => labels[at])];
};
const random = new Random(1);
const rates = new Map();
for (let split = 0; split < splits; split++) {
  const half = new Set([...random.permutation(numbers.size)].slice(0, numbers.size >> 1));
  const { thresholds } = calibrate(...some((label) => half.has(label)), { seed: split });
  const others = some((label) => !half.has(label));
  for (const { rate, similarity, interval, found } of thresholds) {
    const seen = rates.get(rate) ?? [];
    seen.push({ observed: observedRate(...others, similarity), interval, found });
    rates.set(rate, seen);
  }
}
console.log(`${labels.length} images of ${numbers.size} classes, ${splits} splits`);
const percent = (share) => `${Number((100 * share).toPrecision(3))} %`;
for (const [rate, seen] of rates) {
  const observed = seen.map((one) => one.observed).sort((a, b) => a - b);
  const within = seen.filter(
    ({ observed: share, interval: [low, high] }) => share >= low && share <= high,
  ).length;
  const interval = [0, 1].map((end) => percent(median(seen.map((one) => one.interval[end]))));
  console.log(
    `stated ${percent(rate)} (${seen.length} splits): observed ${percent(median(observed))} (${percent(observed[0])} to ${percent(observed.at(-1))}), interval ${interval.join(' to ')}, within it ${within}; found ${percent(median(seen.map((one) => one.found)))} of the pairs of one class`,
  );
}
