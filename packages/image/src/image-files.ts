import type { DecodeOptions } from './bounded.js';
import { decodeImages } from './decode.js';
import type { ImageError } from './error.js';
import type { ImageSet, SetRequest } from './image-set.js';
import { type ImageSize, imageSizes } from './pixels.js';

/** Image files, decoded each time they are asked for. Nothing stays open: there is nothing to dispose. */
export class ImageFiles implements ImageSet {
  readonly count: number;
  private readonly paths: readonly string[];
  /** From the files' headers; each is read once. */
  private readonly known: (ImageSize | undefined)[];

  /** @param paths of the N images; nothing is read yet */
  constructor(paths: readonly string[]) {
    this.count = paths.length;
    this.paths = paths;
    this.known = new Array(paths.length);
  }

  /** As ImageSet.sizes; each file's header is read once. @throws RangeError for an image that is not there */
  async sizes(indices: Iterable<number>, options: DecodeOptions = {}): Promise<ImageSize[]> {
    const wanted = [...indices];
    const missing = [...new Set(wanted)].filter((index) => !this.known[index]);
    const { onBad } = options;
    const bad = new Map<number, ImageError>();
    const found = await imageSizes(
      missing.map((index) => this.path(index)),
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
    const ofFiles = requests.map((request) => ({ ...request, path: this.path(request.index) }));
    await decodeImages(ofFiles, out, options);
  }

  private path(index: number): string {
    const path = this.paths[index];
    if (path === undefined) throw new RangeError(`there is no image ${index}, there are ${this.count}`);
    return path;
  }
}
