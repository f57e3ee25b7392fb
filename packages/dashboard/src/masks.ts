import type { MaskRecord } from '@conquer-dml/run';
import type { MasksIndex, MasksOfEpoch } from './api.js';

/** (K, K) cosine similarities of K masks; 0 where one is all zero. */
export function maskSimilarity(masks: readonly Float32Array[]): number[][] {
  const norms = masks.map((mask) => Math.sqrt(dot(mask, mask)));
  return masks.map((a, i) =>
    masks.map((b, j) => {
      const norm = (norms[i] as number) * (norms[j] as number);
      return norm > 0 ? Math.min(1, dot(a, b) / norm) : 0;
    }),
  );
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let d = 0; d < a.length; d++) sum += (a[d] as number) * (b[d] as number);
  return sum;
}

/** What the index of masks says of one epoch. */
export function maskFacts({ epoch, masks }: MaskRecord): MasksIndex['epochs'][number] {
  const dim = masks[0]?.length ?? 0;
  const similarity = maskSimilarity(masks);
  let sum = 0;
  for (let i = 0; i < masks.length; i++) for (let j = 0; j < i; j++) sum += similarity[i]?.[j] ?? 0;
  const pairs = (masks.length * (masks.length - 1)) / 2;
  const used = masks.reduce((n, mask) => n + mask.reduce((m, value) => m + Number(value > 0), 0), 0);
  const active = used / (masks.length * dim);
  return { epoch, numLearners: masks.length, dim, meanSimilarity: pairs > 0 ? sum / pairs : null, active };
}

export function masksOfEpoch({ epoch, masks }: MaskRecord): MasksOfEpoch {
  const rows = masks.map((mask) => Array.from(mask, (value) => Math.round(value * 1e4) / 1e4));
  return { epoch, masks: rows, similarity: maskSimilarity(masks) };
}
