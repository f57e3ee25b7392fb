import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { BatchTransform } from './batch-transform.js';

/** Mean and standard deviation of each channel, for values in [0, scale]. */
export interface NormalizeOptions {
  mean: readonly number[];
  std: readonly number[];
  /** Order of the channels in the result, in `mean` and in `std`; 'RGB' when left out. */
  channels?: 'RGB' | 'BGR';
  /** What 1 becomes before the mean is subtracted; 1 when left out. */
  scale?: number;
}

/** Of ImageNet's training images: what torchvision's networks are trained with. */
export const imageNetStatistics: NormalizeOptions = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** (scale * image - mean) / std for each channel of RGB images in [0, 1]. Draws nothing. */
export class Normalize implements BatchTransform {
  /** @param statistics default ImageNet's, RGB */
  constructor(private readonly statistics: NormalizeOptions = imageNetStatistics) {}

  /** (B, 3, H, W) of the same dtype; it belongs to the caller. */
  apply(images: Tensor): Tensor {
    const { channels = 'RGB', scale = 1 } = this.statistics;
    return scope(() => {
      // Divided by the scale here, three numbers each, rather than multiplied into the images.
      const [mean, variance] = [
        this.statistics.mean.map((value) => value / scale),
        this.statistics.std.map((value) => (value / scale) ** 2),
      ].map((values) => tensor(values).to({ dtype: images.dtype, device: images.device })) as [
        Tensor,
        Tensor,
      ];
      const ordered = channels === 'BGR' ? images.flip([1]) : images;
      // A BatchNorm with these statistics: one pass over the images, where - and / are two.
      return aten.batch_norm(ordered, null, null, mean, variance, false, 0, 0, false);
    });
  }
}
