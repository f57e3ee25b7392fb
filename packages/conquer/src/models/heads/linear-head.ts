import { nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../../part.js';
import { Head, type HeadBuilder, type HeadShape } from './head.js';
import { neckOf, neckOption } from './neck.js';

const options = z.strictObject({ neck: neckOption });

/** One linear layer. */
export class LinearHead extends Head {
  readonly headNorm: nn.Layer | null;
  readonly embedding: nn.Linear;

  constructor({ featureSize, embeddingDim, generator }: HeadShape, { neck }: z.output<typeof options>) {
    super();
    this.headNorm = neckOf(neck, featureSize);
    this.embedding = new nn.Linear(featureSize, embeddingDim, { generator });
  }

  forward(features: Tensor): Tensor {
    return scope(() => this.embedding.forward(this.headNorm?.forward(features) ?? features));
  }
}

export const linear = part({
  name: 'linear',
  help: 'one linear layer',
  options,
  build:
    (options): HeadBuilder =>
    (shape) =>
      new LinearHead(shape, options),
});
