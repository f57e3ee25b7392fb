import { nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../../part.js';
import { Head, type HeadBuilder, type HeadShape } from './head.js';
import { neckOf, neckOption } from './neck.js';

const options = z.strictObject({
  neck: neckOption,
  hidden: z
    .array(z.int().min(1).max(65_536))
    .min(1)
    .readonly()
    .default([1024])
    .describe('widths of the hidden layers; each is a linear layer, LayerNorm where asked for, and a ReLU'),
  hiddenNorm: z.boolean().default(true).describe('LayerNorm in the hidden layers'),
});

interface Hidden {
  linear: nn.Linear;
  norm: nn.Layer | null;
}

/** Linear layers with ReLUs between them. */
export class MlpHead extends Head {
  readonly headNorm: nn.Layer | null;
  readonly embedding: nn.Linear;
  private readonly layers: readonly Hidden[];

  constructor({ featureSize, embeddingDim, generator }: HeadShape, given: z.output<typeof options>) {
    super();
    const { neck, hidden, hiddenNorm } = given;
    this.headNorm = neckOf(neck, featureSize);
    let width = featureSize;
    this.layers = hidden.map((next) => {
      const linear = new nn.Linear(width, next, { generator });
      width = next;
      return { linear, norm: hiddenNorm ? new nn.LayerNorm(next) : null };
    });
    this.embedding = new nn.Linear(width, embeddingDim, { generator });
  }

  override *namedChildren(): Generator<[string, nn.Module]> {
    yield* super.namedChildren();
    for (const [i, { linear, norm }] of this.layers.entries()) {
      yield [`head_hidden.${i}.linear`, linear];
      if (norm) yield [`head_hidden.${i}.norm`, norm];
    }
  }

  forward(features: Tensor): Tensor {
    return scope(() => {
      let current = this.headNorm?.forward(features) ?? features;
      for (const { linear, norm } of this.layers) {
        const hidden = linear.forward(current);
        current = (norm?.forward(hidden) ?? hidden).relu();
      }
      return this.embedding.forward(current);
    });
  }
}

export const mlp = part({
  name: 'mlp',
  help: 'hidden layers with ReLUs, then a linear one',
  options,
  build:
    (options): HeadBuilder =>
    (shape) =>
      new MlpHead(shape, options),
});
