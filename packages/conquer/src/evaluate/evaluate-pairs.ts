import type { Metrics } from '@conquer-dml/run';
import { noGrad, scope } from '@conquer-dml/torch';
import type { ImagePairs } from '../image-pairs.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { type RowData, rowsFrom } from '../row-data.js';
import { requireFiniteRows } from './finite-rows.js';
import { ListedDistances } from './listed-distances.js';
import { wantedMetrics } from './metrics.js';

export interface EvaluatePairsOptions {
  /** N, the number of images, where the rows are numbers one after the other. */
  count?: number;
  /** Names of metrics and groups of them, beside FNMR@FMR at its usual rates; default: usual. Those of a search are left out. */
  metrics?: readonly string[];
  /** Told of the distances that were measured by. */
  onDistances?: ((distances: ListedDistances) => void) | undefined;
}

const optionNames: OptionNames<EvaluatePairsOptions> = { count: true, metrics: true, onDistances: true };

/** Measured of listed pairs in any case. */
const usual = ['FNMR@FMR0.1', 'FNMR@FMR0.01', 'FNMR@FMR0.001'];

/**
 * Verification: how well distances of embeddings tell pairs that are the same from those that are different. accuracy (the best
 * distance, ten-fold), ROC-AUC, and FNMR@FMR.
 *
 * @param embeddings N rows of D numbers
 * @param pairs by places of the rows; at least one of either kind
 * @throws RangeError for pairs that do not fit the rows, or are all of one kind; UserError for rows that are not finite
 */
export function evaluatePairs(
  embeddings: RowData,
  pairs: ImagePairs,
  options: EvaluatePairsOptions = {},
): Metrics {
  refuseUnknownOptions('evaluatePairs', options, optionNames);
  const { count, metrics = ['usual'], onDistances } = options;
  return scope(() =>
    noGrad(() => {
      const rows = rowsFrom('evaluatePairs', embeddings, { count });
      refuseOtherPairs(pairs, rows.size(0));
      requireFiniteRows(rows, (row) => `row ${row + 1}`);
      const distances = new ListedDistances(rows, pairs);
      onDistances?.(distances);
      const values: Record<string, number> = {};
      for (const { metric, at } of wantedMetrics([...metrics, ...usual], [1])) {
        if (metric.of === 'listed pairs') {
          const [name] = metric.names(at) as [string];
          const { value, standardError } = metric.measure(distances);
          values[name] = value;
          if (standardError !== undefined) values[`${name} SE`] = standardError;
        }
        if (metric.of !== 'pairs') continue;
        const names = metric.names(at);
        for (const [i, value] of metric.measure(distances, at).entries())
          if (value !== null) values[names[i]!] = value;
      }
      return values;
    }),
  );
}

function refuseOtherPairs({ first, second, same }: ImagePairs, size: number): void {
  if (first.length !== same.length || second.length !== same.length)
    throw new RangeError(
      `evaluatePairs: expected two images and an answer for each pair, got ${first.length}, ${second.length} and ${same.length}`,
    );
  for (const places of [first, second])
    for (const place of places)
      if (!(place >= 0 && place < size))
        throw new RangeError(`evaluatePairs: expected places 0…${size - 1} of the rows, got ${place}`);
  const itself = first.findIndex((place, pair) => place === second[pair]);
  if (itself >= 0)
    throw new RangeError(
      `evaluatePairs: expected two images, got row ${first[itself]} twice in pair ${itself}`,
    );
  const count = same.reduce((sum, answer) => sum + Number(answer === 1), 0);
  if (count === 0 || count === same.length)
    throw new RangeError(
      `evaluatePairs: expected pairs of both kinds, got ${count} the same and ${same.length - count} different`,
    );
}
