import type { DecodeOptions } from './bounded.js';
import { decodeNamed } from './decode.js';
import type { ImageError } from './error.js';
import { type ImageInput, type NamedImage, namedImage } from './image-input.js';
import type { ImageSet, SetRequest } from './image-set.js';
import { ParquetImages } from './parquet-images.js';
import { type ImageSize, sizesOf } from './pixels.js';

/** Image files, or what would be in them, decoded each time they are asked for. Nothing stays open: there is nothing to dispose. */
export class ImageFiles implements ImageSet {
  readonly count: number;
  private readonly images: readonly ImageInput[];
  private readonly rows = new ParquetImages();
  /** From the files' headers; each is read once. */
  private readonly known: (ImageSize | undefined)[];

  /** @param images paths, bytes or pixels of the N images; nothing is read yet @throws TypeError for anything else */
  constructor(images: readonly ImageInput[]) {
    this.count = images.length;
    for (const [place, image] of images.entries()) namedImage(image, place, this.rows);
    this.images = [...images];
    this.known = new Array(images.length);
  }

  /** As ImageSet.sizes; each file's header is read once. @throws RangeError for an image that is not there */
  async sizes(indices: Iterable<number>, options: DecodeOptions = {}): Promise<ImageSize[]> {
    const wanted = [...indices];
    const missing = [...new Set(wanted)].filter((index) => !this.known[index]);
    const { onBad } = options;
    const bad = new Map<number, ImageError>();
    const found = await sizesOf(
      missing.map((index) => this.named(index)),
      { ...options, onBad: onBad && ((error, place) => bad.set(missing[place]!, error)) },
    );
    for (const [place, index] of missing.entries()) if (!bad.has(index)) this.known[index] = found[place];
    return wanted.map((index, place) => {
      const error = bad.get(index);
      if (error) onBad?.(error, place);
      return this.known[index] ?? { width: 0, height: 0 };
    });
  }

  /** As decodeImages. @throws RangeError for an image that is not there */
  async read(requests: readonly SetRequest[], out: Uint8Array, options: DecodeOptions = {}): Promise<void> {
    const ofFiles = requests.map((request) => ({ ...request, ...this.named(request.index) }));
    await decodeNamed(ofFiles, out, options);
  }

  /** An image, and what errors call it. @throws RangeError for one that is not there */
  named(index: number): NamedImage {
    const image = this.images[index];
    if (image === undefined) throw new RangeError(`there is no image ${index}, there are ${this.count}`);
    return namedImage(image, index, this.rows);
  }
}
