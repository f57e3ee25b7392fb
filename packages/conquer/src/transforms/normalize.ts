import { scope, type Tensor, tensor } from '@conquer/torch';
import type { BatchTransform } from './batch-transform.js';

/** Mean and standard deviation of each channel, for values in [0, 1]. */
export interface NormalizeOptions {
  mean: readonly number[];
  std: readonly number[];
}

/** Of ImageNet's training images: what torchvision's networks are trained with. */
export const imageNetStatistics: NormalizeOptions = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** (image - mean) / std for each channel. Draws nothing. */
export class Normalize implements BatchTransform {
  constructor(private readonly statistics: NormalizeOptions = imageNetStatistics) {}

  apply(images: Tensor): Tensor {
    return scope(() => {
      const [mean, std] = [this.statistics.mean, this.statistics.std].map((values) =>
        tensor([...values])
          .view([1, values.length, 1, 1])
          .to({ dtype: images.dtype, device: images.device }),
      ) as [Tensor, Tensor];
      return images.sub(mean).div_(std);
    });
  }
}
