import type { Nearest } from './nearest.js';

/** The curve 1 / (1 + a d^2b) that fits UMAP's min_dist 0.1 and spread 1. */
const A = 1.5769434603;
const B = 0.8950608779;
const NEGATIVE_SAMPLES = 5;
const LARGEST_MOVE = 4;

export interface UmapOptions {
  /** (N, depth) neighbours and their distances. */
  nearest: Nearest;
  depth: number;
  /** (N, 2) where the points start; becomes the layout. */
  points: Float32Array;
  epochs: number;
  random: () => number;
  progress: (share: number) => void;
}

/**
 * Uniform manifold approximation and projection to two dimensions (McInnes, Healy and Melville, 2018), from known
 * neighbours. Like umap-learn's, in flat arrays: tens of thousands of points take seconds and little memory.
 */
export function layOutByUmap({ nearest, depth, points, epochs, random, progress }: UmapOptions): void {
  const edges = fuzzyEdges(nearest, depth, epochs);
  const n = points.length / 2;
  const { heads, tails, period } = edges;
  const next = Float32Array.from(period);
  const nextNegative = period.map((value) => value / NEGATIVE_SAMPLES);
  const pulls = new FunctionTable((squared) => (-2 * A * B * squared ** (B - 1)) / (A * squared ** B + 1));
  const pushes = new FunctionTable((squared) => (2 * B) / ((0.001 + squared) * (A * squared ** B + 1)));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const rate = 1 - epoch / epochs;
    for (let edge = 0; edge < heads.length; edge++) {
      if ((next[edge] as number) > epoch) continue;
      next[edge] = (next[edge] as number) + (period[edge] as number);
      const head = 2 * (heads[edge] as number);
      const tail = 2 * (tails[edge] as number);
      let x = points[head] as number;
      let y = points[head + 1] as number;
      let dx = x - (points[tail] as number);
      let dy = y - (points[tail + 1] as number);
      let squared = dx * dx + dy * dy;
      if (squared > 0) {
        const pull = pulls.at(squared);
        const byX = rate * clip(pull * dx);
        const byY = rate * clip(pull * dy);
        x += byX;
        y += byY;
        points[tail] = (points[tail] as number) - byX;
        points[tail + 1] = (points[tail + 1] as number) - byY;
      }
      const each = (period[edge] as number) / NEGATIVE_SAMPLES;
      const negatives = Math.floor((epoch - (nextNegative[edge] as number)) / each);
      nextNegative[edge] = (nextNegative[edge] as number) + negatives * each;
      for (let sample = 0; sample < negatives; sample++) {
        const other = 2 * Math.floor(random() * n);
        if (other === head) continue;
        dx = x - (points[other] as number);
        dy = y - (points[other + 1] as number);
        squared = dx * dx + dy * dy;
        const push = pushes.at(squared);
        x += rate * (squared > 0 ? clip(push * dx) : LARGEST_MOVE);
        y += rate * (squared > 0 ? clip(push * dy) : LARGEST_MOVE);
      }
      points[head] = x;
      points[head + 1] = y;
    }
    if (epoch % 5 === 0) progress(epoch / epochs);
  }
}

function clip(value: number): number {
  return Math.min(LARGEST_MOVE, Math.max(-LARGEST_MOVE, value));
}

/**
 * A function of a number that is not negative, by table: the upper half of a float32 (its exponent and seven bits of
 * its mantissa) is the place, so that the value is that of a number at most 0.4 % off. Powers take most of the time
 * otherwise.
 */
class FunctionTable {
  private readonly cell = new Float32Array(1);
  private readonly bits = new Int32Array(this.cell.buffer);
  private readonly values = new Float32Array(1 << 15);

  constructor(of: (value: number) => number) {
    for (let place = 0; place < this.values.length; place++) {
      this.bits[0] = (place << 16) | (1 << 15);
      this.values[place] = of(this.cell[0] as number);
    }
  }

  at(value: number): number {
    this.cell[0] = value;
    return this.values[(this.bits[0] as number) >> 16] as number;
  }
}

interface Edges {
  heads: Int32Array;
  tails: Int32Array;
  /** Epochs from one use of the edge to the next. */
  period: Float32Array;
}

/** The fuzzy union of all points' neighbourhoods: w + wᵀ − w·wᵀ, in both directions; edges too weak to be used are left out. */
function fuzzyEdges({ indices, distances }: Nearest, depth: number, epochs: number): Edges {
  const weights = memberships(distances, depth);
  const union = new Float32Array(weights.length);
  const mutual = new Uint8Array(weights.length);
  let strongest = 0;
  for (let at = 0; at < weights.length; at++) {
    const point = Math.floor(at / depth);
    const back = indices.subarray((indices[at] as number) * depth, (indices[at] as number) * depth + depth);
    const rank = back.indexOf(point);
    const other = rank === -1 ? 0 : (weights[(indices[at] as number) * depth + rank] as number);
    const weight = weights[at] as number;
    mutual[at] = Number(rank !== -1);
    union[at] = indices[at] === point ? 0 : weight + other - weight * other;
    strongest = Math.max(strongest, union[at] as number);
  }
  const used = (at: number) => (union[at] as number) * epochs >= strongest && (union[at] as number) > 0;
  let count = 0;
  for (let at = 0; at < union.length; at++) count += used(at) ? 2 - (mutual[at] as number) : 0;
  const heads = new Int32Array(count);
  const tails = new Int32Array(count);
  const period = new Float32Array(count);
  let edge = 0;
  const add = (head: number, tail: number, weight: number) => {
    heads[edge] = head;
    tails[edge] = tail;
    period[edge++] = strongest / weight;
  };
  for (let at = 0; at < union.length; at++) {
    if (!used(at)) continue;
    const point = Math.floor(at / depth);
    add(point, indices[at] as number, union[at] as number);
    // Of a mutual pair, the other point adds the way back.
    if (!mutual[at]) add(indices[at] as number, point, union[at] as number);
  }
  return { heads, tails, period };
}

/** exp(−(d − ρ) / σ) with ρ the nearest distance above 0, and σ such that they sum to log2(depth + 1). (N, depth) */
function memberships(distances: Float32Array, depth: number): Float32Array {
  const weights = new Float32Array(distances.length);
  const target = Math.log2(depth + 1);
  const mean = distances.reduce((sum, distance) => sum + distance, 0) / Math.max(1, distances.length);
  for (let from = 0; from < distances.length; from += depth) {
    const own = distances.subarray(from, from + depth);
    const nearest = own.find((distance) => distance > 0) ?? 0;
    let [low, high, sigma] = [0, Number.POSITIVE_INFINITY, 1];
    for (let i = 0; i < 64; i++) {
      let sum = 0;
      for (const distance of own) sum += Math.exp(-Math.max(0, distance - nearest) / sigma);
      if (Math.abs(sum - target) < 1e-5) break;
      if (sum > target) high = sigma;
      else low = sigma;
      sigma = high === Number.POSITIVE_INFINITY ? sigma * 2 : (low + high) / 2;
    }
    const ownMean = own.reduce((sum, distance) => sum + distance, 0) / depth;
    sigma = Math.max(sigma, 1e-3 * (nearest > 0 ? ownMean : mean), 1e-12);
    for (let i = 0; i < depth; i++)
      weights[from + i] = Math.exp(-Math.max(0, (own[i] as number) - nearest) / sigma);
  }
  return weights;
}
