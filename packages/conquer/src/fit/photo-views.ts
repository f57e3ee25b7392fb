import { type ImageError, ImageFiles } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';
import { imagesFromPixels, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { CropDecision, Cropping } from '../data/cropping.js';
import { RandomResizedCrop } from '../data/random-resized-crop.js';
import { evaluationView } from '../data/view.js';
import { Random } from '../random.js';

/** Least share of a photo's area in a view that is drawn. */
const LEAST_AREA = 0.3;

/** A photo, and the hash of its bytes. */
export interface Photo {
  path: string;
  /** SHA-256, in hexadecimal. */
  hash: string;
}

/** The rows of some photos in one view; without those that cannot be read. */
export interface ViewedPhotos {
  /** float32 (n, 3, H, W), as the network takes them; belongs to the caller. */
  images: Tensor;
  /** (n,) which of the photos. */
  places: Int32Array;
}

/**
 * What view `number` shows: 0 what evaluation and search see; each other one a part of the photo, perhaps mirrored, which its bytes
 * and the number settle, so that it is the same whenever and beside whatever it is read.
 */
export class PhotoView {
  private readonly plain: ReturnType<typeof evaluationView>;
  private readonly drawn: Cropping;

  constructor(
    readonly number: number,
    private readonly seen: Preprocessing,
  ) {
    this.plain = evaluationView(seen);
    this.drawn = new RandomResizedCrop({
      size: seen.size,
      area: [LEAST_AREA, 1],
      filter: seen.input.interpolation,
    });
  }

  /** Everything that the pixels of the view go by, but the photo. */
  get description(): object {
    const { number, seen } = this;
    return number === 0 ? { seen } : { seen, number, leastArea: LEAST_AREA, drawing: 1 };
  }

  /** @param onBad told of photos that cannot be read */
  async read(
    photos: readonly Photo[],
    onBad: (error: ImageError, place: number) => void,
    { signal, threads }: { signal?: AbortSignal | undefined; threads?: number | undefined } = {},
  ): Promise<ViewedPhotos> {
    const files = new ImageFiles(photos.map(({ path }) => path));
    const cropping = this.number === 0 ? this.plain.cropping : this.drawn;
    const bad = new Set<number>();
    const fail = (error: ImageError, place: number) => {
      if (!bad.has(place)) onBad(error, place);
      bad.add(place);
    };
    const sizes = await files.sizes(photos.keys(), { onBad: fail, signal, threads });
    const asked = Int32Array.from(photos.keys()).filter((place) => !bad.has(place));
    const { size, filter } = cropping;
    const side = { width: size, height: size };
    const requests = Array.from(asked, (index) => {
      const { crop, whole, flip }: CropDecision = cropping.draw(
        sizes[index]!,
        streamOf(photos[index]!, this.number),
      );
      return { index, size: side, crop, whole, flip, filter };
    });
    const row = size * size * 3;
    const pixels = new Uint8Array(asked.length * row);
    await files.read(requests, pixels, { onBad: (error, at) => fail(error, asked[at]!), signal, threads });
    const places = asked.filter((place) => !bad.has(place));
    for (const [to, place] of places.entries()) {
      const from = asked.indexOf(place);
      if (to < from) pixels.copyWithin(to * row, from * row, (from + 1) * row);
    }
    const images = noGrad(() =>
      scope(() => {
        const bytes = tensor(pixels.subarray(0, places.length * row), {
          shape: [places.length, size, size, 3],
        });
        return this.plain.transform.apply(imagesFromPixels(bytes), new Random(0));
      }),
    ).keep();
    return { images, places };
  }
}

function streamOf({ hash }: Photo, view: number): Random {
  // 48 bits of the hash, and the number: a safe integer.
  return new Random(Number.parseInt(hash.slice(0, 12), 16) * 16 + view);
}
