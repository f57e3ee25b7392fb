import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkRows } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';

const options = z.strictObject({
  p: z.number().min(1).default(2).describe('of which norm: 2 is the Euclidean length'),
  power: z.number().min(1e-3).default(1).describe('to which power of it'),
});

export type EmbeddingNormOptions = z.input<typeof options>;

/**
 * A term to be added to a loss: the mean of the embeddings' p-norms, to a power, as they are before they are scaled to
 * length 1. It keeps them from growing, which makes the gradient through the scaling ever smaller.
 */
export class EmbeddingNormLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly p: number;
  readonly power: number;

  constructor(given: EmbeddingNormOptions = {}) {
    super();
    const { p, power } = withDefaults('EmbeddingNormLoss', options, given);
    this.p = p;
    this.power = power;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  override get takesKnownPairs(): boolean {
    return true;
  }

  forward(rows: Rows): Tensor {
    checkRows('embedding-norm loss', rows, { severalLabels: true, knownPairs: true });
    return scope(() => {
      const lengths = (rows.raw ?? rows.embeddings).norm(this.p, 1);
      return (this.power === 1 ? lengths : lengths.pow(this.power)).mean();
    });
  }
}

export const embeddingNorm = lossPart({
  name: 'embedding-norm',
  help: "a term beside another loss: the embeddings' length before it is made 1",
  usesTuples: false,
  learns: false,
  differs: "pytorch-metric-learning's LpRegularizer, of the embeddings before they are scaled to length 1",
  options,
  build: (options) => new EmbeddingNormLoss(options),
});
