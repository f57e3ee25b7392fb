import type { JudgedDistances, ListedPairMetric } from './metric.js';

const FOLDS = 10;

/** How often same and different are told apart by one distance, which was not chosen on the pairs it is tried on. */
export const accuracy: ListedPairMetric = {
  names: () => ['accuracy'],
  help: `share of the listed pairs that one distance tells apart; it is chosen on nine tenths of them and tried on the last, ${FOLDS} times (as LFW's protocol)`,
  divisor: 'the pairs',
  others: "sklearn's accuracy_score of each fold, their mean",
  shown: 'per cent',
  when: 'always',
  chooses: true,
  of: 'listed pairs',
  measure: (pairs) => accuracyOf(pairs),
};

/** The area under the ROC of the listed pairs. */
export const rocAuc: ListedPairMetric = {
  names: () => ['ROC-AUC'],
  help: 'how often a listed pair that is the same is nearer than one that is different (half of it where they are equal)',
  divisor: 'pairs of a same and a different pair',
  others: "sklearn's roc_auc_score of minus the distances",
  shown: 'per cent',
  when: 'always',
  chooses: true,
  of: 'listed pairs',
  measure: ({ distances, answers }) => ({ value: areaOf(distances, answers) }),
};

interface Judged {
  distance: number;
  same: number;
  fold: number;
}

/** The mean over the folds, and its standard error. Pairs of a kind go to the folds in turn, by their order. */
function accuracyOf({ distances, answers }: JudgedDistances): { value: number; standardError?: number } {
  const counts = [0, 0];
  const judged: Judged[] = Array.from(distances, (distance, pair) => {
    const same = answers[pair]!;
    return { distance, same, fold: counts[same]!++ % FOLDS };
  }).sort((a, b) => a.distance - b.distance);
  const folds = [...new Set(judged.map(({ fold }) => fold))];
  if (folds.length < 2) {
    // One pair of each kind: there are no others to choose on.
    return { value: rightAt(judged, thresholdOf(judged)) };
  }
  const values = folds.map((fold) =>
    rightAt(
      judged.filter((pair) => pair.fold === fold),
      thresholdOf(judged.filter((pair) => pair.fold !== fold)),
    ),
  );
  const value = values.reduce((sum, each) => sum + each, 0) / values.length;
  const squares = values.reduce((sum, each) => sum + (each - value) ** 2, 0);
  return { value, standardError: Math.sqrt(squares / (values.length - 1) / values.length) };
}

/** The share of pairs that a distance puts right: those nearer are the same. */
function rightAt(pairs: readonly Judged[], threshold: number): number {
  return pairs.filter(({ distance, same }) => distance < threshold === (same === 1)).length / pairs.length;
}

/** The distance, in the middle between two neighbouring ones, that puts most pairs right; of several the smallest. */
function thresholdOf(ascending: readonly Judged[]): number {
  let right = ascending.filter(({ same }) => same === 0).length;
  let best = { right, threshold: -Infinity };
  for (const [place, { distance, same }] of ascending.entries()) {
    right += same === 1 ? 1 : -1;
    const next = ascending[place + 1]?.distance ?? Infinity;
    if (next > distance && right > best.right)
      best = { right, threshold: next === Infinity ? Infinity : (distance + next) / 2 };
  }
  return best.threshold;
}

/** By ranks (Mann and Whitney), equal distances at the mean of theirs. */
function areaOf(distances: Float64Array, answers: Uint8Array): number {
  const order = [...distances.keys()].sort((a, b) => distances[a]! - distances[b]!);
  let [nearer, area] = [0, 0];
  const same = answers.reduce((sum, answer) => sum + answer, 0);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && distances[order[end]!] === distances[order[start]!]) end++;
    const tied = order.slice(start, end);
    const tiedSame = tied.filter((pair) => answers[pair] === 1).length;
    area += (tied.length - tiedSame) * (nearer + tiedSame / 2);
    nearer += tiedSame;
    start = end;
  }
  return area / (same * (answers.length - same));
}
