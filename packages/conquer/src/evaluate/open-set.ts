import { cat, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { nearestNeighbours } from '../neighbours/nearest.js';
import { Random } from '../random.js';
import type { RowMetric } from './metric.js';

/** How well a search tells what it knows from what it does not. */
export interface OpenSet {
  /** Queries of classes that the gallery has, and of classes that it has not. */
  known: number;
  unknown: number;
  /** The probability that a known query's nearest is nearer than an unknown one's: area under the ROC curve. */
  auroc: number;
  /**
   * For each rate of unknown queries that are taken for something: the share of known queries whose nearest is of their class and
   * near enough (detection and identification rate, Phillips et al. 2011, Handbook of Face Recognition, chapter 14).
   */
  identified: { falseAlarms: number; share: number; similarity: number }[];
}

/**
 * Half of the classes, drawn, are known: of each of them half of the images are the gallery and half are queries. All images of the
 * others are queries that nothing answers.
 *
 * @param embeddings (N, D) of length 1
 * @param labels (N,)
 * @param falseAlarms shares of the unknown queries
 * @returns null where no class has two images, or there is one class alone
 * @throws RangeError for a share of none or all of them, by which nothing is told from anything
 */
export function openSet(
  embeddings: Tensor,
  labels: Int32Array,
  { falseAlarms = [0.1, 0.01], seed = 0 }: { falseAlarms?: readonly number[]; seed?: number } = {},
): OpenSet | null {
  const wrong = falseAlarms.find((rate) => !(rate > 0 && rate < 1));
  if (wrong !== undefined)
    throw new RangeError(`an open set: expected rates of false alarms above 0 and below 1, got ${wrong}`);
  const random = new Random(seed);
  const members = new Map<number, number[]>();
  for (const [row, label] of labels.entries()) members.set(label, [...(members.get(label) ?? []), row]);
  const classes = [...members.values()];
  const order = [...random.permutation(classes.length)].map((at) => classes[at]!);
  const [gallery, known, unknown]: [number[], number[], number[]] = [[], [], []];
  for (const [at, rows] of order.entries()) {
    if (at % 2 === 1) unknown.push(...rows);
    else if (rows.length > 1) {
      const shuffled = [...random.permutation(rows.length)].map((place) => rows[place]!);
      const half = Math.floor(rows.length / 2);
      gallery.push(...shuffled.slice(0, half));
      known.push(...shuffled.slice(half));
    }
  }
  if (gallery.length === 0 || unknown.length === 0) return null;
  const { indices, distances } = scope(() =>
    noGrad(() => {
      const at = (rows: number[]) =>
        embeddings.indexSelect(
          0,
          tensor(Int32Array.from(rows), { dtype: 'int64', device: embeddings.device }),
        );
      return nearestNeighbours(cat([at(known), at(unknown)]), at(gallery), 1);
    }),
  );
  const similarities = Array.from(distances, (distance) => 1 - distance ** 2 / 2);
  const right = known.map((row, query) => labels[row] === labels[gallery[indices[query]!]!]);
  const ofKnown = similarities.slice(0, known.length);
  const ofUnknown = similarities.slice(known.length).sort((a, b) => b - a);
  return {
    known: known.length,
    unknown: unknown.length,
    auroc: areaUnder(ofKnown, ofUnknown),
    identified: falseAlarms.map((rate) => {
      // Above the first that would be one false alarm too many.
      const most = Math.floor(rate * ofUnknown.length);
      const similarity = ofUnknown[most] ?? -1;
      const found = ofKnown.filter((value, query) => right[query] && value > similarity).length;
      return { falseAlarms: rate, share: found / known.length, similarity };
    }),
  };
}

/** Of a known and an unknown one, how often the known is nearer; equal ones count half (Mann and Whitney). */
function areaUnder(known: readonly number[], unknown: readonly number[]): number {
  const ascending = [...unknown].sort((a, b) => a - b);
  let wins = 0;
  for (const value of known) {
    const below = countBelow(ascending, value, false);
    wins += below + (countBelow(ascending, value, true) - below) / 2;
  }
  return wins / (known.length * unknown.length);
}

/** How many are less; `orEqual`: or the same. */
function countBelow(ascending: readonly number[], value: number, orEqual: boolean): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (orEqual ? ascending[middle]! <= value : ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const described = {
  divisor: 'known queries',
  withoutMatch: 'is of no class that is known',
  when: 'named',
  chooses: false,
  of: 'rows',
} as const;

/** Of queries whose class is in the gallery and queries whose class is not. */
export const openSetIdentification: RowMetric = {
  ...described,
  names: (rates) => rates.map((rate) => `DIR@FAR${rate}`),
  at: [0.1, 0.01],
  help: 'half of the classes known: share of their queries whose nearest is right, and nearer than the nearest of all but the share FAR of the queries of unknown classes',
  others: 'DIR at FAR, TPIR at FPIR',
  shown: 'per cent',
  measure(embeddings, labels, rates) {
    const found = openSet(embeddings, labels, { falseAlarms: rates });
    return found ? found.identified.map(({ share }) => share) : rates.map(() => null);
  },
};

export const openSetArea: RowMetric = {
  ...described,
  names: () => ['AUROC'],
  help: 'half of the classes known: how often a query of theirs is nearer to its nearest than one of an unknown class',
  divisor: 'pairs of a known and an unknown query',
  others: 'AUROC of open-set recognition',
  shown: 'per cent',
  measure: (embeddings, labels) => [openSet(embeddings, labels)?.auroc ?? null],
};
