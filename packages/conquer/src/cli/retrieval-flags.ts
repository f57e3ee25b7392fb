import { UserError } from '@conquer-dml/run';
import { type ExpandOptions, expandOptions } from '../evaluate/expand.js';
import { wantedMetrics } from '../evaluate/metrics.js';
import type { TestTimeOptions } from '../models/test-time.js';
import type { KReciprocalOptions } from '../neighbours/k-reciprocal.js';
import { testTimeFlags } from './test-time-flags.js';

// How images are searched and what is measured of it: of the commands that search, as they have it on the command line.

/** As commander gives them. */
export interface RetrievalFlags {
  metrics?: string;
  allMetrics?: boolean;
  rerank?: string;
  expand?: string;
  prefixes?: string;
  flips?: boolean;
  crops?: string;
}

export interface RetrievalOptions {
  /** Left out: as the command has it. */
  metrics?: readonly string[];
  rerank?: KReciprocalOptions;
  expand?: ExpandOptions;
  prefixes?: readonly number[];
  testTime?: Partial<TestTimeOptions>;
}

/** @throws UserError for a metric that there is not, or numbers that are none */
export function retrievalOf(flags: RetrievalFlags): RetrievalOptions {
  const { metrics, allMetrics, rerank, expand, prefixes, flips, crops } = flags;
  const named = metrics?.split(',').map((name) => name.trim());
  const wanted = allMetrics ? [...(named ?? []), 'all'] : named;
  if (wanted) wantedMetrics(wanted, []);
  return {
    ...(wanted && { metrics: wanted }),
    ...(rerank !== undefined && { rerank: rerank === 'yes' ? {} : rerankOf(rerank) }),
    ...(expand !== undefined && { expand: expandOf(expand) }),
    ...(prefixes !== undefined && { prefixes: prefixesOf(prefixes) }),
    testTime: testTimeFlags({ flips, crops }),
  };
}

function rerankOf(text: string): KReciprocalOptions {
  const [k1 = Number.NaN, k2 = Number.NaN, lambda = Number.NaN, ...rest] = numbersIn(text);
  const isK = (k: number) => Number.isInteger(k) && k >= 1;
  if (!isK(k1) || !isK(k2) || !(lambda >= 0 && lambda <= 1) || rest.length > 0)
    throw new UserError(
      `--rerank: expected yes, or k1,k2,lambda, two whole numbers of at least 1 and one of 0 to 1 (20,6,0.3), got '${text}'`,
    );
  return { k1, k2, lambda };
}

function expandOf(text: string): ExpandOptions {
  const [what, ...numbers] = text.split(',');
  const [k, alpha, ...rest] = numbersIn(numbers.join(','));
  const parsed = expandOptions.safeParse({
    what,
    ...(k !== undefined && { k }),
    ...(alpha !== undefined && { alpha }),
  });
  if (!parsed.success || rest.length > 0)
    throw new UserError(
      `--expand: expected queries, gallery, both or joint, and after it how many of the most similar and the power (queries,3,3), got '${text}'`,
    );
  return parsed.data;
}

function prefixesOf(text: string): number[] {
  const sizes = numbersIn(text);
  if (sizes.length === 0 || !sizes.every((size) => Number.isInteger(size) && size >= 1))
    throw new UserError(`--prefixes: expected numbers of dimensions (64,128), got '${text}'`);
  return sizes;
}

const numbersIn = (text: string) =>
  text === '' ? [] : text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
