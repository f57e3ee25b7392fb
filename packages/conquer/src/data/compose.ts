import { scope, type Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

/**
 * Transforms one after the other. What lies between them is freed. Without any, images come out as they are.
 */
export class Compose implements BatchTransform {
  constructor(private readonly transforms: readonly BatchTransform[]) {}

  apply(images: Tensor, random: Random): Tensor {
    return scope(() =>
      this.transforms.reduce((current, transform) => transform.apply(current, random), images),
    );
  }
}
