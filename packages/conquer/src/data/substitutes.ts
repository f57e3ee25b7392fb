import type { ImageError } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BadImages } from './bad-images.js';
import type { ImageSource } from './image-source.js';

/**
 * Batches of a split in which bad images are replaced by good ones of the same class: one that is not in the batch, or
 * if there is none, one that is; of a class that has no good image at all, by any image of the split.
 *
 * A batch depends on its stream and on which images are bad, not on when that was found out: a resumed run, which
 * knows them from the start, draws the same.
 */
export class Substitutes {
  readonly #paths: readonly string[];
  readonly #labels: Int32Array;
  readonly #bad: BadImages;

  /** @param paths of the split's N images @param labels (N,) */
  constructor(paths: readonly string[], labels: Int32Array, bad: BadImages) {
    this.#paths = paths;
    this.#labels = labels;
    this.#bad = bad;
  }

  /**
   * Reads the images at these positions, or others in their places.
   *
   * @returns the positions that were read, and their pixels as ImageSource.read gives them
   * @throws UserError where too many images are bad; ImageError of a file that the split does not have
   */
  async read(
    source: ImageSource,
    positions: Int32Array,
    random: Random,
    signal: AbortSignal,
  ): Promise<{ indices: Int32Array; pixels: Tensor }> {
    const start = random.getState();
    for (;;) {
      const indices = this.replace(positions, random);
      const bad: ImageError[] = [];
      const pixels = await source.read(indices, random, signal, (error) => bad.push(error));
      if (bad.length === 0) return { indices, pixels };
      // The crops of all are drawn again: what a batch holds must not depend on when its bad images were found.
      pixels.dispose();
      random.setState(start);
      for (const error of bad) {
        if (!this.#paths.includes(error.path)) throw error;
        this.#bad.add(error);
      }
    }
  }

  /** The positions with others in place of the bad ones. Draws nothing where all are good. */
  replace(positions: Int32Array, random: Random): Int32Array {
    if (positions.every((at) => this.#isGood(at))) return positions;
    const used = new Set(positions);
    return positions.map((at) => {
      if (this.#isGood(at)) return at;
      const other = this.#choose(at, used, random);
      used.add(other);
      return other;
    });
  }

  #choose(bad: number, used: ReadonlySet<number>, random: Random): number {
    const all = Array.from(this.#labels.keys());
    const ofClass = all.filter((at) => this.#labels[at] === this.#labels[bad]);
    // Shuffled with the bad ones among them, so that one more of these leaves the others where they are.
    const shuffled = random.shuffle(ofClass).filter((at) => this.#isGood(at));
    const chosen =
      shuffled.find((at) => !used.has(at)) ??
      shuffled[0] ??
      random.shuffle(all).find((at) => this.#isGood(at));
    if (chosen === undefined)
      throw new UserError(`none of the ${all.length} images can be read, such as ${this.#paths[bad]}`);
    return chosen;
  }

  #isGood(position: number): boolean {
    return !this.#bad.has(this.#paths[position]!);
  }
}
