import { UserError } from '@conquer/run';
import { nn, type Tensor } from '@conquer/torch';
import { firstThree, weightFaults } from './weight-faults.js';

/**
 * What a backbone expects of its images: `(scale * pixel / 255 - mean) / std` for each channel, the channels in the
 * order of `channels`.
 */
export interface InputFormat {
  /** Usual side of the square image, in pixels. Other sizes work too. */
  size: number;
  /** Order of the channels, of `mean` and `std` too; 'RGB' when left out. */
  channels?: 'RGB' | 'BGR';
  /** Value of a white pixel before the mean is subtracted; 1 when left out. */
  scale?: number;
  /** Of each channel, for values in 0…`scale`. */
  mean: [number, number, number];
  /** Of each channel, for values in 0…`scale`. */
  std: [number, number, number];
}

/** ImageNet's statistics, with which torchvision's weights were trained. */
export const imageNetInput: InputFormat = {
  size: 224,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** What to do about weights that do not fit. */
export const FITTING = 'take the network that they were trained with, or name them as torchvision does';

/** A network without its classifier: images (B, 3, H, W) to feature maps (B, featureSize, h, w). */
export abstract class Backbone extends nn.Module {
  /** As openModel knows it. */
  abstract readonly name: string;
  /** Channels of the feature maps. */
  abstract readonly featureSize: number;
  /** How images have to come. */
  abstract readonly input: InputFormat;
  /** Prefixes of the classifier's tensors in the published weights: they are left out, nothing else is. */
  abstract readonly classifierPrefixes: readonly string[];

  /**
   * Side in pixels of the smallest image that leaves a feature map: one of a smaller side would vanish on the way. Default 1.
   */
  readonly smallestSide: number = 1;

  /** Whether images of this height or width can go through. */
  takesSide(side: number): boolean {
    return side >= this.smallestSide;
  }

  /**
   * @param shape of a batch of images
   * @throws UserError for images that cannot go through, which says what can
   */
  requireImages(shape: readonly number[]): void {
    const [, channels, height = 0, width = 0] = shape;
    if (shape.length !== 4 || channels !== 3) {
      throw new UserError(`${this.name}: expected images (B, 3, H, W), got the shape [${shape.join(', ')}]`);
    }
    for (const side of [height, width]) {
      if (this.takesSide(side)) continue;
      const below = nearest(side, -1, (other) => this.takesSide(other));
      const above = nearest(side, 1, (other) => this.takesSide(other));
      const next =
        below === null
          ? `at least ${above} pixels a side`
          : `${below} or ${above} pixels, the nearest that it takes`;
      throw new UserError(`${this.name}: expected images of ${next}, got ${height}×${width}`);
    }
  }

  /**
   * Images (B, 3, H, W) as `input` says to feature maps (B, featureSize, h, w), which belong to the caller.
   */
  abstract forward(images: Tensor): Tensor;

  /**
   * Copies published weights into this backbone. Every missing, unexpected or mis-shaped name that is not the
   * classifier's is an error; then nothing is copied.
   *
   * @param weights a state dict with the names torchvision gives; it is not changed, and stays the caller's
   * @returns the names that were left out: those of the classifier
   * @throws UserError that names what does not fit, or is not finite, or a variance below 0
   */
  loadPretrained(weights: ReadonlyMap<string, Tensor>): string[] {
    const leftOut: string[] = [];
    const kept = new Map<string, Tensor>();
    for (const [name, value] of weights) {
      if (this.classifierPrefixes.some((prefix) => name.startsWith(prefix))) leftOut.push(name);
      else kept.set(name, value);
    }
    const faults = this.integersIn(kept) ?? weightFaults(kept);
    if (faults !== null) throw new UserError(`the weights cannot be used: ${faults}`);
    try {
      this.loadStateDict(kept);
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/^.*nothing was loaded: /, '') : error;
      throw new UserError(`the weights do not fit ${this.name}: ${reason}; ${FITTING}`);
    }
    return leftOut;
  }

  /** Integers would be taken for the weights that they are a code of (of 8 bits, with scales beside them). */
  private integersIn(weights: ReadonlyMap<string, Tensor>): string | null {
    const names = [...this.stateDict()]
      .filter(
        ([name, own]) => own.dtype.includes('float') && weights.get(name)?.dtype.includes('float') === false,
      )
      .map(([name]) => name);
    return names.length > 0 ? `integers in ${firstThree(names)}` : null;
  }
}

/** The nearest side in one direction that is fit; null where there is none of at least a pixel. */
function nearest(side: number, step: 1 | -1, fits: (side: number) => boolean): number | null {
  for (let other = side + step; other > 0; other += step) if (fits(other)) return other;
  return null;
}
