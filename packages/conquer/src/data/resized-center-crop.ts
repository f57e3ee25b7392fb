import type { ImageSize, ResizeFilter } from '@conquer-dml/image';
import type { CropDecision, Cropping } from './cropping.js';

export interface ResizedCenterCropOptions {
  /** Side of the output in pixels. */
  size: number;
  /** Length that the image's short side is resized to before the centre is cut out; of a square both. Default `size`. */
  resize?: number | undefined;
  /** Default 'bicubic'. */
  filter?: ResizeFilter | undefined;
  /** Whether the image is resized to a square, whatever its sides; default false. */
  squash?: boolean | undefined;
  /** Where half a pixel at the border goes: to the even one (default), or out. */
  centre?: 'even' | 'down' | undefined;
}

/**
 * The whole image resized, then the central `size`×`size` cut out: what the evaluation of timm and torchvision sees, to the
 * pixel. The long side is rounded down. Draws nothing.
 */
export class ResizedCenterCrop implements Cropping {
  readonly size: number;
  readonly filter: ResizeFilter;
  private readonly resize: number;
  private readonly squash: boolean;
  private readonly offset: (x: number) => number;

  /** @throws RangeError unless 0 < size ≤ resize */
  constructor({
    size,
    resize = size,
    filter = 'bicubic',
    squash = false,
    centre = 'even',
  }: ResizedCenterCropOptions) {
    if (!(resize >= size && size > 0)) {
      throw new RangeError(
        `ResizedCenterCrop: expected resize to be at least size, got ${resize} and ${size}`,
      );
    }
    this.size = size;
    this.filter = filter;
    this.resize = resize;
    this.squash = squash;
    this.offset = centre === 'even' ? halfToEven : Math.floor;
  }

  draw({ width, height }: ImageSize): CropDecision {
    const { size, resize } = this;
    const short = Math.min(width, height);
    const sideOf = (length: number) => (this.squash ? resize : Math.floor((resize * length) / short));
    const whole = { width: sideOf(width), height: sideOf(height) };
    const crop = {
      left: this.offset((whole.width - size) / 2),
      top: this.offset((whole.height - size) / 2),
      width: size,
      height: size,
    };
    return { crop, whole, flip: false };
  }
}

/** As Python rounds. */
function halfToEven(x: number): number {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
}
