import { F, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { drawnCentres } from './drawn-centres.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';

const options = z.strictObject({
  temperature: z.number().min(1e-6).default(0.05).describe('divides the similarities'),
  labelSmoothing: z
    .number()
    .min(0)
    .max(0.99)
    .default(0)
    .describe('share of the target that is spread over all classes'),
});

export interface NormalizedSoftmaxOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * Normalised softmax (Zhai and Wu, "Classification is a strong baseline for deep metric learning", BMVC
 * 2019): cross entropy of x · w_c / (|w_c| temperature), without bias. The class weights are learned. Labels
 * are 0..numClasses-1.
 */
export class NormalizedSoftmaxLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly temperature: number;
  readonly labelSmoothing: number;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: NormalizedSoftmaxOptions) {
    super();
    const { temperature, labelSmoothing } = withDefaults('NormalizedSoftmaxLoss', options, given);
    this.temperature = temperature;
    this.labelSmoothing = labelSmoothing;
    this.classWeights = drawnCentres([numClasses, embeddingDim], generator);
  }

  forward(rows: Rows): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const targets = classTargets('normalized-softmax loss', rows, this.classWeights.size(0));
      const logits = F.linear(embeddings, F.normalize(this.classWeights)).div(this.temperature);
      return F.crossEntropy(logits, targets, { labelSmoothing: this.labelSmoothing });
    });
  }
}

export const normalizedSoftmax = lossPart({
  name: 'normalized-softmax',
  help: 'cross entropy over learned class weights (Zhai and Wu 2019)',
  usesTuples: false,
  learns: true,
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new NormalizedSoftmaxLoss({ ...options, numClasses, embeddingDim, generator }),
});
