import { UserError } from '@conquer-dml/run';
import { F, scope, type Tensor } from '@conquer-dml/torch';
import { inPrecision } from '../../precision.js';
import type { Backbone } from '../backbones/backbone.js';
import type { GeMPooling } from '../heads/gem.js';

/**
 * One vector an image of what a backbone gives: images (B, 3, H, W), or what was kept of them, to (B, F), which belong to the caller.
 *
 * @param pooling of maps and tokens; a backbone that gives vectors has pooled them its own way
 * @throws UserError for images that the backbone does not take, and for another pooling than avg of vectors
 */
export function pooledFeatures(
  backbone: Backbone,
  images: Tensor,
  pooling: 'avg' | 'max' | GeMPooling,
): Tensor {
  backbone.requireImages(images.shape);
  return scope(() => {
    const features = inPrecision(backbone.precision, images, (x) => backbone.featuresOf(x));
    return pooled(features, backbone.name, pooling);
  });
}

/** Maps (B, F, h, w), tokens (B, N, F) or vectors (B, F) to (B, F). */
function pooled(features: Tensor, name: string, pooling: 'avg' | 'max' | GeMPooling): Tensor {
  if (features.ndim === 2 && pooling !== 'avg')
    throw new UserError(
      `model.pooling: expected avg, as ${name} gives one vector an image (B, C), which it has pooled in its own way; got ${typeof pooling === 'string' ? pooling : 'gem'}`,
    );
  if (typeof pooling !== 'string' && features.ndim > 2) return pooling.forward(features);
  const isMax = pooling === 'max';
  switch (features.shape.length) {
    case 4:
      return (isMax ? F.adaptiveMaxPool2d(features, 1) : F.adaptiveAvgPool2d(features, 1)).flatten(1);
    case 3:
      return isMax ? features.amax(1) : features.mean(1);
    case 2:
      return features;
    default:
      throw new RangeError(
        `${name}: expected maps (B, C, H, W), tokens (B, N, C) or vectors (B, C), got features of [${features.shape.join(', ')}]`,
      );
  }
}
