import { nn, type Tensor } from '@conquer/torch';
import { UserError } from '../error.js';

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
   * Images (B, 3, H, W) as `input` says to feature maps (B, featureSize, h, w), which belong to the caller.
   */
  abstract forward(images: Tensor): Tensor;

  /**
   * Copies published weights into this backbone. Every missing, unexpected or mis-shaped name that is not the
   * classifier's is an error; then nothing is copied.
   *
   * @param weights a state dict with the names torchvision gives; it is not changed, and stays the caller's
   * @returns the names that were left out: those of the classifier
   * @throws UserError that names what does not fit
   */
  loadPretrained(weights: ReadonlyMap<string, Tensor>): string[] {
    const leftOut: string[] = [];
    const kept = new Map<string, Tensor>();
    for (const [name, value] of weights) {
      if (this.classifierPrefixes.some((prefix) => name.startsWith(prefix))) leftOut.push(name);
      else kept.set(name, value);
    }
    try {
      this.loadStateDict(kept);
    } catch (error) {
      throw new UserError(
        `the weights do not fit ${this.name}: ${error instanceof Error ? error.message : error}`,
      );
    }
    return leftOut;
  }
}
