import { type ImageInput, imageSize } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { imagesAsSeen, plainBatches } from '../data/plain-batches.js';
import type { TrainedModel } from './trained-model.js';

/** What of an image makes it like another. */
export interface Explanation {
  /**
   * By rows from the top and columns from the left: by how much the cosine falls when this part of the image is covered with the mean
   * colour. Below 0: the part makes them less alike.
   */
  parts: number[][];
  /** The part of the image that the network sees, in shares of its width and height: the grid lies on it. */
  seen: { left: number; top: number; width: number; height: number };
}

export interface ExplainOptions {
  /** Rows and columns of parts; default 7. */
  grid?: number;
}

/**
 * Which parts of an image make it like another one: each part in turn is covered, and the image embedded again (occlusion, Zeiler and
 * Fergus 2014). It asks nothing of the network's inside, so that it is the same for all, and costs grid² embeddings.
 *
 * @param towards the embedding of the other image, of length 1
 * @throws ImageError where the image cannot be read; RangeError for an embedding of another length, or a grid that is not 2 to 32
 */
export async function explain(
  model: TrainedModel,
  image: ImageInput,
  towards: Float32Array,
  { grid = 7 }: ExplainOptions = {},
): Promise<Explanation> {
  if (!Number.isInteger(grid) || grid < 2 || grid > 32)
    throw new RangeError(`explain: expected a grid of 2 to 32 parts a side, got ${grid}`);
  if (towards.length !== model.dim)
    throw new RangeError(`explain: expected an embedding of ${model.dim} numbers, got ${towards.length}`);
  const { view } = model;
  const size = await imageSize(image);
  const batches = plainBatches(imagesAsSeen([image], view), view, { device: model.device, batchSize: 1 });
  for await (const { images } of batches) {
    using whole = images;
    const similarities = scope(() =>
      noGrad(() => {
        const covered = coveredParts(whole, grid);
        const target = tensor(towards).to({ device: model.device });
        const count = covered.size(0);
        const some = Array.from({ length: Math.ceil(count / ROWS) }, (_, at) =>
          covered.narrow(0, at * ROWS, Math.min(ROWS, count - at * ROWS)),
        );
        return [whole, ...some].flatMap((each) => [
          ...model.model.embed(each).matmul(target).to('cpu').toNumbers(),
        ]);
      }),
    );
    const [full = 0, ...without] = similarities;
    const parts = Array.from({ length: grid }, (_, row) =>
      without.slice(row * grid, (row + 1) * grid).map((similarity) => full - similarity),
    );
    return { parts, seen: seenOf(size, view) };
  }
  throw new UserError('explain: there is no image');
}

/** Embedded at a time. */
const ROWS = 64;

/** (grid², 3, H, W): the image once for each part, which is 0 there, the mean colour. */
function coveredParts(image: Tensor, grid: number): Tensor {
  const [, , height = 0, width = 0] = image.shape;
  const covered = image.repeat([grid * grid, 1, 1, 1]);
  const edge = (part: number, side: number) => Math.round((part * side) / grid);
  for (let row = 0; row < grid; row++)
    for (let column = 0; column < grid; column++) {
      const [top, left] = [edge(row, height), edge(column, width)];
      covered
        .select(0, row * grid + column)
        .narrow(1, top, edge(row + 1, height) - top)
        .narrow(2, left, edge(column + 1, width) - left)
        .zero_();
    }
  return covered;
}

/** The centre that evaluation cuts out, in shares of the image. */
function seenOf({ width, height }: { width: number; height: number }, view: TrainedModel['view']) {
  const share = view.size / view.resize;
  const short = Math.min(width, height);
  const [across, down] =
    view.squash || view.reduction?.square
      ? [share, share]
      : [(share * short) / width, (share * short) / height];
  return { left: (1 - across) / 2, top: (1 - down) / 2, width: across, height: down };
}
