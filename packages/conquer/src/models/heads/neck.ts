import { nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';

/** The option of a head that normalises its features first. */
export const neckOption = z
  .enum(['none', 'layer-norm', 'batch-norm'])
  .default('none')
  .describe(
    'normalise the features in front of the head: each image by itself, or each feature over the batch',
  );

/** The layer of the option, for features of this width; null: none. */
export function neckOf(kind: 'none' | 'layer-norm' | 'batch-norm', width: number): nn.Layer | null {
  switch (kind) {
    case 'none':
      return null;
    case 'layer-norm':
      return new nn.LayerNorm(width);
    case 'batch-norm':
      return new BatchNormOfRows(width);
  }
}

/** BatchNorm of rows (B, F): PyTorch's BatchNorm1d, with its names. */
export class BatchNormOfRows extends nn.BatchNorm2d {
  override forward(rows: Tensor): Tensor {
    return scope(() => super.forward(rows.view([...rows.shape, 1, 1])).view(rows.shape));
  }
}
