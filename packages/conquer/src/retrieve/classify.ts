import type { RowData } from '../row-data.js';
import type { AnyIndex } from './any-index.js';
import type { IndexSearchOptions } from './index-options.js';
import type { Match } from './match.js';
import { searchWhere } from './search-where.js';

export interface ClassifyOptions extends Pick<IndexSearchOptions, 'embedder'> {
  /** How many of the nearest labelled items vote; default 20. */
  k?: number;
  /**
   * A vote counts e^(similarity / temperature): 0.07 (default), as Wu et al. 2018 (Unsupervised Feature Learning via
   * Non-Parametric Instance Discrimination) and later evaluations by neighbours have it. Infinity: each counts the same.
   */
  temperature?: number;
}

/** What the neighbours of a query say. */
export interface Classified {
  /** The class with the most votes; of equal ones that of the nearest item. null: no item has a class. */
  label: string | null;
  /** Its share of the votes, 0…1. */
  confidence: number;
  /** All classes that got votes, most first. */
  votes: { label: string; share: number }[];
  /** Who voted, nearest first. */
  matches: Match[];
}

/**
 * The class of each query by a vote of the nearest items that have one; an item's class is its first label.
 *
 * @param queries Q rows, see `ImageIndex.search`
 * @throws RangeError for a k that is no positive integer, a temperature that is not above 0, or as `ImageIndex.search`
 */
export async function classify(
  index: AnyIndex,
  queries: RowData,
  { k = 20, temperature = 0.07, embedder }: ClassifyOptions = {},
): Promise<Classified[]> {
  if (!(temperature > 0))
    throw new RangeError(`classify: expected a temperature above 0, got ${temperature}`);
  const found = await searchWhere(index, queries, k, ({ labels }) => labels.length > 0, { embedder });
  return found.map((matches) => voted(matches, temperature));
}

function voted(matches: Match[], temperature: number): Classified {
  const [nearest] = matches;
  if (nearest === undefined) return { label: null, confidence: 0, votes: [], matches };
  const weights = new Map<string, number>();
  let total = 0;
  for (const { labels, similarity } of matches) {
    const weight = Math.exp((similarity - nearest.similarity) / temperature);
    weights.set(labels[0]!, (weights.get(labels[0]!) ?? 0) + weight);
    total += weight;
  }
  const votes = [...weights].map(([label, weight]) => ({ label, share: weight / total }));
  votes.sort((a, b) => b.share - a.share);
  return { label: votes[0]!.label, confidence: votes[0]!.share, votes, matches };
}
