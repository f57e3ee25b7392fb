import { noGrad, scope } from '@conquer-dml/torch';
import { pairMasks } from '../losses/pair-masks.js';
import type { Rows } from '../rows.js';
import type { Difficulty } from '../samplers/batch-sampler.js';

/** What a checkpoint keeps of it, base64 of float32. */
export interface ImageDifficultyState {
  drawn: string;
  observed: string;
}

/**
 * How difficult each training image was when it last came up, for a sampler that draws by it. An epoch draws by what was
 * known at its start, so that one that is left and entered again draws the same batches.
 */
export class ImageDifficulty implements Difficulty {
  /** NaN: not seen yet. */
  #drawn: Float32Array;
  #observed: Float32Array;

  /** @param size images of the training split */
  constructor(size: number) {
    this.#drawn = new Float32Array(size).fill(Number.NaN);
    this.#observed = this.#drawn.slice();
  }

  of(position: number): number | null {
    const value = this.#drawn[position]!;
    return Number.isNaN(value) ? null : value;
  }

  /**
   * @param positions (B,) of a batch's images in the split
   * @param difficulties (B,) NaN: nothing is known
   */
  observe(positions: Int32Array, difficulties: Float64Array): void {
    for (const [row, position] of positions.entries()) {
      const value = difficulties[row]!;
      if (Number.isFinite(value)) this.#observed[position] = value;
    }
  }

  /** From now on what was observed is drawn by. */
  startEpoch(): void {
    this.#drawn = this.#observed.slice();
  }

  state(): ImageDifficultyState {
    return { drawn: base64Of(this.#drawn), observed: base64Of(this.#observed) };
  }

  restore({ drawn, observed }: ImageDifficultyState): void {
    this.#drawn = floatsOf(drawn, this.#drawn.length);
    this.#observed = floatsOf(observed, this.#drawn.length);
  }
}

/**
 * The similarity of each row to the nearest row of another class less that to the nearest other image of its own: (B,),
 * -2…2; NaN where it has not both.
 */
export function difficultiesIn(rows: Rows): Float64Array {
  return noGrad(() =>
    scope(() => {
      const { positives, negatives } = pairMasks('difficulty', rows);
      const detached = rows.embeddings.detach();
      const similarities = detached.matmul(detached.t());
      const nearest = (of: typeof positives) => similarities.where(of, -Infinity).amax(1);
      // Infinite, or NaN where it has neither.
      return nearest(negatives).sub(nearest(positives)).toNumbers();
    }),
  );
}

const base64Of = (values: Float32Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');

function floatsOf(text: string, size: number): Float32Array {
  const values = new Float32Array(size).fill(Number.NaN);
  Buffer.from(text, 'base64').copy(Buffer.from(values.buffer), 0, 0, 4 * size);
  return values;
}
