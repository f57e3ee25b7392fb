import { aten, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import type { DistancesOfPairs, PairSummary } from './metric.js';
import type { Search } from './search.js';

/** Numbers in a block of distances. */
const BLOCK_NUMBERS = 2 ** 21;
/** Bins in which a quantile is looked for at a time. */
const BINS = 4096;
/** So many distances are collected and sorted to find one exactly. */
const COLLECTED = 2 ** 20;
export const SHOWN_BINS = 40;

type Kind = 'same' | 'different';

/**
 * The Euclidean distances of all pairs of a query and an image of the gallery, of one class and of several, what a query
 * leaves out left out. Computed in float64, whenever something is asked, by blocks: never kept.
 */
export class PairDistances implements DistancesOfPairs {
  readonly #summaries: Record<Kind, PairSummary>;
  /** 0 … the largest distance, in equal steps. */
  readonly edges: number[];

  /** @param queries (N, D) @param labels (N,); both stay the caller's, and have to stay */
  constructor(
    private readonly queries: Tensor,
    private readonly labels: Int32Array,
    private readonly search: Search,
  ) {
    const sums = { same: [0, 0, 0], different: [0, 0, 0] };
    const bounds = { same: [Infinity, -Infinity], different: [Infinity, -Infinity] };
    this.#eachBlock((kind, distances) => {
      if (distances.numel() === 0) return;
      const [count, sum, squares] = sums[kind] as [number, number, number];
      const values = [distances.sum(), distances.square().sum(), distances.amin(0), distances.amax(0)];
      const [added, addedSquares, least, most] = values.map((value) => value.item()) as [
        number,
        number,
        number,
        number,
      ];
      sums[kind] = [count + distances.numel(), sum + added, squares + addedSquares];
      const [low, high] = bounds[kind] as [number, number];
      bounds[kind] = [Math.min(low, least), Math.max(high, most)];
    });
    const largest = Math.max(0, bounds.same[1]!, bounds.different[1]!);
    this.edges = Array.from({ length: SHOWN_BINS + 1 }, (_, bin) => (bin * largest) / SHOWN_BINS);
    const histogram = { same: new Float64Array(SHOWN_BINS), different: new Float64Array(SHOWN_BINS) };
    this.#eachBlock((kind, distances) => {
      for (const [bin, count] of binsOf(distances, [0, largest], SHOWN_BINS).entries())
        histogram[kind][bin]! += count;
    });
    const summary = (kind: Kind): PairSummary => {
      const [count, sum, squares] = sums[kind] as [number, number, number];
      const mean = sum / count;
      const [min, max] = count === 0 ? [Number.NaN, Number.NaN] : (bounds[kind] as [number, number]);
      const std = Math.sqrt(Math.max(0, squares / count - mean ** 2));
      return { count, mean, std, min, max, histogram: [...histogram[kind]] };
    };
    this.#summaries = { same: summary('same'), different: summary('different') };
  }

  get same(): PairSummary {
    return this.#summaries.same;
  }

  get different(): PairSummary {
    return this.#summaries.different;
  }

  quantileOfDifferent(share: number): number | null {
    const { count } = this.different;
    if (count === 0) return null;
    const place = share * (count - 1);
    const below = Math.floor(place);
    const low = this.#nth('different', below);
    const high = below === place ? low : this.#nth('different', below + 1);
    return low + (high - low) * (place - below);
  }

  shareOfSameBeyond(distance: number): number | null {
    if (this.same.count === 0) return null;
    let beyond = 0;
    this.#eachBlock((kind, distances) => {
      if (kind === 'same') beyond += distances.ge(distance).sum().item();
    });
    return beyond / this.same.count;
  }

  /** The distance with so many smaller ones before it. */
  #nth(wanted: Kind, place: number): number {
    let { min: low, max: high } = this.#summaries[wanted];
    let { count } = this.#summaries[wanted];
    let before = 0;
    // Into ever narrower bins, until what is left can be sorted.
    while (count > COLLECTED && high > low) {
      const bins = new Float64Array(BINS);
      this.#eachBlock((kind, distances) => {
        if (kind !== wanted) return;
        for (const [bin, found] of binsOf(distances, [low, high], BINS).entries()) bins[bin]! += found;
      });
      let bin = 0;
      while (bin < BINS - 1 && before + bins[bin]! <= place) before += bins[bin++]!;
      count = bins[bin]!;
      const width = (high - low) / BINS;
      const [from, to] = [low + bin * width, bin === BINS - 1 ? high : low + (bin + 1) * width];
      if (from === low && to === high) break;
      [low, high] = [from, to];
    }
    // So many in a range that narrow are equal.
    return count > COLLECTED ? low : this.#sorted(wanted, [low, high], place);
  }

  /** Of the distances in a range: those before it are counted, so that rounding at its ends moves nothing. */
  #sorted(wanted: Kind, [low, high]: readonly [number, number], place: number): number {
    let before = 0;
    const inside: number[] = [];
    const margin = (high - low) / 2 ** 20;
    this.#eachBlock((kind, distances) => {
      if (kind !== wanted) return;
      before += distances
        .lt(low - margin)
        .sum()
        .item();
      const mask = distances.ge(low - margin).logicalAnd(distances.le(high + margin));
      for (const value of aten.masked_select(distances, mask).toNumbers()) inside.push(value);
    });
    return Float64Array.from(inside).sort()[place - before]!;
  }

  #eachBlock(onBlock: (kind: Kind, distances: Tensor) => void): void {
    const { queries, labels } = this;
    const { gallery, stop } = this.search;
    const all = gallery?.embeddings ?? queries;
    const galleryLabels = gallery?.labels ?? labels;
    const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / galleryLabels.length));
    scope(() =>
      noGrad(() => {
        const others = all.detach().to({ dtype: 'float64' });
        const squares = others.square().sum(1);
        const classOf = tensor(galleryLabels, { device: all.device });
        for (let start = 0; start < labels.length; start += rows) {
          checkStop(stop);
          const count = Math.min(rows, labels.length - start);
          scope(() => {
            const block = queries.detach().narrow(0, start, count).to({ dtype: 'float64' });
            const norms = block.square().sum(1, true);
            const found = norms.add(squares).sub(block.matmul(others.t()).mul(2));
            const distances = found.clamp({ min: 0 }).sqrt();
            const query = tensor(labels.subarray(start, start + count), { device: all.device });
            const same = classOf.eq(query.unsqueeze(1));
            const kept = this.#kept(start, count, galleryLabels.length).to({ device: all.device });
            onBlock('same', aten.masked_select(distances, same.logicalAnd(kept)));
            onBlock('different', aten.masked_select(distances, same.logicalNot().logicalAnd(kept)));
          });
        }
      }),
    );
  }

  /** (B, M) bool: all but what the queries leave out, themselves above all. */
  #kept(start: number, count: number, size: number): Tensor {
    const { gallery } = this.search;
    const mask = new Uint8Array(count * size).fill(1);
    for (let row = 0; row < count; row++) {
      const left = gallery ? (gallery.own?.get(start + row) ?? []) : [start + row];
      for (const position of left) mask[row * size + position] = 0;
    }
    return tensor(mask, { shape: [count, size] }).gt(0);
  }
}

/** How many lie in each of the equal bins of a range; what lies outside is not counted. */
function binsOf(distances: Tensor, [low, high]: readonly [number, number], bins: number): Float64Array {
  if (distances.numel() === 0) return new Float64Array(bins);
  if (high <= low) {
    const all = new Float64Array(bins);
    all[0] = distances.eq(low).sum().item();
    return all;
  }
  return scope(() => {
    const at = distances
      .sub(low)
      .mul(bins / (high - low))
      .floor()
      .clamp({ max: bins - 1 });
    const inside = distances.ge(low).logicalAnd(distances.le(high));
    return aten
      .masked_select(at, inside)
      .clamp({ min: 0 })
      .to({ dtype: 'int64' })
      .bincount(bins)
      .toNumbers() as Float64Array;
  });
}
