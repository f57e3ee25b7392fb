import { type Calibration, UserError } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import { countKinds, type ImagePairs } from '../image-pairs.js';
import { Random } from '../random.js';
import type { CalibrateOptions } from './calibrate.js';
import { ListedDistances } from './listed-distances.js';
import { BINS, binOf } from './similarity-counts.js';
import { confidenceInterval, REPLICATES, statedRates, USUAL_RATES } from './stated-rates.js';

const WITNESSES = { of: 'different pairs', more: 'more pairs of other photos' };

/**
 * What similarities mean, from pairs that are listed as the same or different, of images that took no part in the training. As
 * `calibrate`, of these pairs alone; intervals are from groups of images drawn anew, with replacement, and the pairs among them, as
 * pairs that share a photo are no independent witnesses.
 *
 * @param embeddings (N, D) of length 1
 * @param groups (N,) from 0 on, of images that are the same, an image alone where nobody says; called classes in what comes out
 * @throws UserError without pairs of both kinds
 */
export function calibratePairs(
  embeddings: Tensor,
  pairs: ImagePairs,
  groups: Int32Array,
  { rates = USUAL_RATES, seed = 0, embedder = null, source = 'pairs' }: Omit<CalibrateOptions, 'stop'> = {},
): Calibration {
  const kinds = countKinds(pairs);
  if (kinds.same === 0 || kinds.different === 0)
    throw new UserError(
      `${source}: expected pairs of both kinds to calibrate on, got ${kinds.same} same and ${kinds.different} different`,
    );
  const { distances } = new ListedDistances(embeddings, pairs);
  const counts = { same: new Float64Array(BINS), different: new Float64Array(BINS) };
  const different: Different = { a: [], b: [], bins: [] };
  for (const [pair, distance] of distances.entries()) {
    const bin = binOf(1 - distance ** 2 / 2);
    if (pairs.same[pair] === 1) counts.same[bin]!++;
    else {
      counts.different[bin]!++;
      different.a.push(groups[pairs.first[pair]!]!);
      different.b.push(groups[pairs.second[pair]!]!);
      different.bins.push(bin);
    }
  }
  const drawn = replicates(different, new Random(seed));
  const stated = statedRates(counts, rates, WITNESSES, (bins) =>
    bins.map((bin) => {
      const beyond = (pair: number) => bin !== null && different.bins[pair]! >= bin;
      const witnesses = new Set<string>();
      for (const [pair, a] of different.a.entries())
        if (beyond(pair)) witnesses.add([a, different.b[pair]!].sort((x, y) => x - y).join());
      return { witnesses: witnesses.size, interval: confidenceInterval(drawn(beyond)) };
    }),
  );
  const involved = [...pairs.first, ...pairs.second];
  return {
    embedder,
    source,
    classes: new Set(involved.map((image) => groups[image])).size,
    images: new Set(involved).size,
    ...stated,
  };
}

/** Of each pair that is different its two groups, and the bin of its similarity. */
interface Different {
  a: number[];
  b: number[];
  bins: number[];
}

/** Of the pairs among groups that are drawn, as often as these are, the share of some. */
function replicates({ a, b }: Different, random: Random): (some: (pair: number) => boolean) => Float64Array {
  const groups = [...new Set([...a, ...b])];
  const number = new Map(groups.map((group, at) => [group, at]));
  const [first, second] = [a, b].map((own) => Int32Array.from(own, (group) => number.get(group)!));
  const weights = Array.from({ length: REPLICATES }, () => {
    const times = new Int32Array(groups.length);
    for (let draw = 0; draw < groups.length; draw++) times[random.int(groups.length)]!++;
    return times;
  });
  const totalOf = (times: Int32Array, places: Iterable<number>) => {
    let total = 0;
    for (const pair of places) total += times[first![pair]!]! * times[second![pair]!]!;
    return total;
  };
  const totals = weights.map((times) => totalOf(times, a.keys()));
  return (some) => {
    const places = [...a.keys()].filter(some);
    return Float64Array.from(weights, (times, at) =>
      totals[at] === 0 ? 0 : totalOf(times, places) / totals[at]!,
    );
  };
}
