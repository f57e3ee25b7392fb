import { aten, noGrad, scope, type Tensor, tensor } from '@conquer/torch';

export interface MeanAveragePrecisionOptions {
  /** Search here, (M, D) and (M,), instead of among the queries themselves. */
  gallery?: { embeddings: Tensor; labels: Int32Array };
  /** Queries at a time; by default as many as keep a block of distances within 4 million numbers. */
  blockSize?: number;
}

/** Numbers in a block of distances; there are some five such blocks at a time. */
const BLOCK_NUMBERS = 4 * 2 ** 20;

/**
 * Mean average precision by Euclidean distance, one value for each of `depths`: the mean over the queries of
 * 1/min(R, depth) Σ_{i ≤ depth} precision(i) · [neighbour i is of the class], R the images of the class to be
 * found. Depth Infinity ranks the whole gallery. A query with R = 0 counts as 0. Of equally near images those
 * of other classes come first, so that embeddings that have collapsed earn nothing by it. (MAP@R, whose depth
 * is each query's own R, is `meanAveragePrecisionAtR`.)
 *
 * Nothing is sorted but the images to be found: for each of them the nearer ones of other classes are
 * counted. Memory grows with the size of the gallery, time with queries × gallery.
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @param relevant (N,) R of every query, see `countRelevant`
 * @param depths positive whole numbers or Infinity
 * @returns a value in 0…1 for each depth
 */
export function meanAveragePrecision(
  embeddings: Tensor,
  labels: Int32Array,
  relevant: Int32Array,
  depths: readonly number[],
  { gallery, blockSize }: MeanAveragePrecisionOptions = {},
): number[] {
  const galleryLabels = gallery?.labels ?? labels;
  const members = new Map<number, number[]>();
  for (const [position, label] of galleryLabels.entries()) {
    const found = members.get(label);
    if (found) found.push(position);
    else members.set(label, [position]);
  }
  const rows = Math.max(1, blockSize ?? Math.floor(BLOCK_NUMBERS / galleryLabels.length));
  const totals = depths.map(() => 0);
  scope(() =>
    noGrad(() => {
      const precise = embeddings.dtype === 'float64' ? 'float64' : 'float32';
      const all = (gallery?.embeddings ?? embeddings).detach().to({ dtype: precise });
      const mean = all.mean(0, true);
      const centred = all.sub(mean);
      const squares = centred.square().sum(1);
      const classOf = tensor(galleryLabels, { device: embeddings.device });
      for (let start = 0; start < labels.length; start += rows) {
        const count = Math.min(rows, labels.length - start);
        const targets = Array.from({ length: count }, (_, row) => {
          const ofClass = members.get(labels[start + row] as number) ?? [];
          // A query is not its own neighbour.
          return gallery ? ofClass : ofClass.filter((position) => position !== start + row);
        });
        const others = scope(() => {
          const block = embeddings.detach().narrow(0, start, count).to({ dtype: precise }).sub(mean);
          // |g|² - 2 q·g orders as the distance does.
          const distances = squares.sub(block.matmul(centred.t()).mul_(2));
          const query = tensor(labels.subarray(start, start + count), { device: embeddings.device });
          return nearerOthers(distances, classOf.eq(query.unsqueeze(1)), targets);
        });
        const width = others.length / count;
        for (const [row, { length }] of targets.entries()) {
          for (const [i, depth] of depths.entries()) {
            let precisions = 0;
            for (let hit = 1; hit <= length; hit++) {
              const rank = hit + (others[row * width + hit - 1] as number);
              if (rank <= depth) precisions += hit / rank;
            }
            const found = Math.min(relevant[start + row] as number, depth);
            if (found > 0) totals[i] = (totals[i] as number) + precisions / found;
          }
        }
      }
    }),
  );
  return totals.map((total) => total / labels.length);
}

/**
 * How many images of other classes are at least as near as each target, nearest target first.
 *
 * @param distances (B, M), overwritten where `sameClass` (B, M) bool
 * @param targets positions in the gallery, by query
 * @returns (B × width) row-major, width the largest number of targets; beyond a query's targets it means nothing
 */
function nearerOthers(distances: Tensor, sameClass: Tensor, targets: readonly number[][]): Float64Array {
  const [count, device] = [targets.length, distances.device];
  const width = targets.reduce((most, { length }) => Math.max(most, length), 0);
  if (width === 0) return new Float64Array();
  const positions = new Int32Array(count * width);
  const beyond = new Uint8Array(count * width).fill(1);
  for (const [row, ofQuery] of targets.entries()) {
    positions.set(ofQuery, row * width);
    beyond.fill(0, row * width, row * width + ofQuery.length);
  }
  const shape = [count, width];
  const toTargets = distances
    .gather(1, tensor(positions, { shape, dtype: 'int64', device }))
    .maskedFill_(tensor(beyond, { shape, device }).gt(0), Infinity)
    .sort(1).values;
  // Each image of another class is at least as near as the targets from this one on: in 0 … width.
  const from = aten.searchsorted$Tensor(toTargets, distances.maskedFill_(sameClass, Infinity));
  const firstOfRow = Int32Array.from({ length: count }, (_, row) => row * (width + 1));
  const bins = from.add_(tensor(firstOfRow, { dtype: 'int64', device }).unsqueeze(1)).reshape([-1]);
  return bins
    .bincount(count * (width + 1))
    .reshape([count, width + 1])
    .cumsum(1)
    .narrow(1, 0, width)
    .toNumbers();
}
