import type { Tensor } from '@conquer-dml/torch';
import { ImageIndex } from '../retrieve/image-index.js';
import { similarPairs } from '../retrieve/similar-pairs.js';
import type { StopCheck } from '../stop-check.js';
import type { AuditedImages } from './audited-images.js';
import type { Finding, FindingKind } from './finding.js';

export interface CopiesOptions {
  /** SHA-256 of each image's file. */
  hashes: readonly string[];
  /** Cosine from which on two images are all but the same. */
  minSimilarity: number;
  stop?: StopCheck | undefined;
}

/**
 * Images that are there twice, by their bytes or by how alike they are. A pair is one finding, of the gravest kind: in two parts of
 * the data, in two classes, or in one.
 *
 * @param rows (N, D)
 */
export function findCopies(images: AuditedImages, rows: Tensor, options: CopiesOptions): Finding[] {
  const { hashes, minSimilarity, stop } = options;
  const findings: Finding[] = [];
  const first = new Map<string, number>();
  for (const [place, hash] of hashes.entries()) {
    const other = first.get(hash);
    if (other === undefined) first.set(hash, place);
    else findings.push(pairOf(images, other, place, 1, 'exact-duplicate'));
  }
  using index = ImageIndex.of(
    rows,
    images.paths.map((_, place) => ({ id: String(place) })),
  );
  for (const { first: a, second: b, similarity } of similarPairs(index, { minSimilarity, stop })) {
    const [one, other] = [Number(a.id), Number(b.id)];
    if (hashes[one] === hashes[other]) continue;
    findings.push(pairOf(images, one, other, similarity, 'near-duplicate'));
  }
  return findings;
}

function pairOf(images: AuditedImages, a: number, b: number, score: number, kind: FindingKind): Finding {
  const { labels, splits } = images;
  const parts = splits !== null && splits[a] !== splits[b];
  const classes = labels[a] !== labels[b] && labels[a]! >= 0 && labels[b]! >= 0;
  // What is trained on is left out rather than what is measured on.
  const leaving = parts && splits![a] === 'train' ? [a, b] : [b, a];
  return {
    kind: classes ? 'two-labels' : parts ? 'leak' : kind,
    score,
    images: leaving,
    classes: classes ? leaving.map((place) => labels[place]!) : [],
  };
}
