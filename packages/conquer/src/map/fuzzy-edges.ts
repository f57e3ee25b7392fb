import { type PointEdges, tensor } from '@conquer-dml/torch';
import type { Neighbours } from '../neighbours/neighbours.js';

/**
 * The graph that UMAP lays out: the fuzzy union of all rows' neighbourhoods, w + wᵀ − w·wᵀ, in both directions, over the
 * largest. Edges too weak to be used in any of the epochs are left out.
 */
export function fuzzyEdges({ indices, distances, k }: Neighbours, epochs: number): PointEdges {
  const count = indices.length / k;
  const weights = memberships(distances, k);
  const union = new Float32Array(weights.length);
  // Whether the other row has this one among its neighbours, too, and so adds the way back itself.
  const mutual = new Uint8Array(weights.length);
  let strongest = 0;
  for (let row = 0, at = 0; row < count; row++) {
    for (let i = 0; i < k; i++, at++) {
      const other = indices[at]!;
      // What stands for missing neighbours: the row itself, or the one before once more.
      if (other === row || (i > 0 && other === indices[at - 1])) continue;
      let back = other * k;
      const end = back + k;
      while (back < end && indices[back] !== row) back++;
      const weight = weights[at]!;
      const reverse = back < end ? weights[back]! : 0;
      mutual[at] = Number(back < end);
      union[at] = weight + reverse - weight * reverse;
      strongest = Math.max(strongest, union[at]!);
    }
  }
  const isUsed = (at: number) => union[at]! > 0 && union[at]! * epochs >= strongest;
  const starts = new Int32Array(count + 1);
  for (let at = 0; at < union.length; at++) {
    if (!isUsed(at)) continue;
    starts[Math.floor(at / k) + 1]!++;
    if (!mutual[at]) starts[indices[at]! + 1]!++;
  }
  for (let row = 0; row < count; row++) starts[row + 1]! += starts[row]!;
  const next = starts.slice();
  const ends = new Int32Array(starts[count]!);
  const shares = new Float32Array(ends.length);
  const add = (from: number, to: number, weight: number) => {
    const at = next[from]!++;
    ends[at] = to;
    shares[at] = weight / strongest;
  };
  for (let at = 0; at < union.length; at++) {
    if (!isUsed(at)) continue;
    const row = Math.floor(at / k);
    add(row, indices[at]!, union[at]!);
    if (!mutual[at]) add(indices[at]!, row, union[at]!);
  }
  return { starts: tensor(starts), ends: tensor(ends), weights: tensor(shares) };
}

/** exp(−(d − ρ) / σ) with ρ the nearest distance above 0, and σ such that they sum to log2(k + 1). (N, k) */
function memberships(distances: Float32Array, k: number): Float32Array {
  const weights = new Float32Array(distances.length);
  const target = Math.log2(k + 1);
  const mean = distances.reduce((sum, distance) => sum + distance, 0) / Math.max(1, distances.length);
  const beyond = new Float64Array(k);
  for (let from = 0; from < distances.length; from += k) {
    let nearest = 0;
    let ownMean = 0;
    for (let i = from + k - 1; i >= from; i--) {
      if (distances[i]! > 0) nearest = distances[i]!;
      ownMean += distances[i]! / k;
    }
    for (let i = 0; i < k; i++) beyond[i] = Math.max(0, distances[from + i]! - nearest);
    let [low, high, sigma] = [0, Number.POSITIVE_INFINITY, ownMean / 4 || 1];
    for (let i = 0; i < 48; i++) {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += Math.exp(-beyond[j]! / sigma);
      if (Math.abs(sum - target) < 1e-4) break;
      if (sum > target) high = sigma;
      else low = sigma;
      sigma = high === Number.POSITIVE_INFINITY ? sigma * 2 : (low + high) / 2;
    }
    sigma = Math.max(sigma, 1e-3 * (nearest > 0 ? ownMean : mean), 1e-12);
    for (let i = 0; i < k; i++) weights[from + i] = Math.exp(-beyond[i]! / sigma);
  }
  return weights;
}
