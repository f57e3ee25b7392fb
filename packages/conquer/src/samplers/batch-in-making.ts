import type { Random } from '../random.js';

/** A batch that is put together without taking an image twice. */
export class BatchInMaking {
  readonly images: number[] = [];
  readonly #taken = new Set<number>();

  constructor(
    private readonly size: number,
    private readonly random: Random,
  ) {}

  get isFull(): boolean {
    return this.images.length >= this.size;
  }

  /** Takes up to `count` of these that it has not got, in their order, while there is room. */
  take(images: Iterable<number>, count = Infinity): void {
    let left = count;
    for (const image of images) {
      if (left === 0 || this.isFull) return;
      if (this.#taken.has(image)) continue;
      this.#taken.add(image);
      this.images.push(image);
      left--;
    }
  }

  /** Fills the room that is left with up to `count` random images of each class of which it has none. */
  addClasses(classes: readonly Int32Array[], count: number): void {
    if (this.isFull) return;
    for (const index of this.random.permutation(classes.length)) {
      if (this.isFull) return;
      const images = classes[index]!;
      if (!images.some((image) => this.#taken.has(image)))
        this.take(this.random.shuffle(images.slice()), count);
    }
  }

  /** Fills the room that is left with all that the classes have. */
  addImages(classes: readonly Int32Array[]): void {
    if (this.isFull) return;
    for (const index of this.random.permutation(classes.length))
      this.take(this.random.shuffle(classes[index]!.slice()));
  }
}
