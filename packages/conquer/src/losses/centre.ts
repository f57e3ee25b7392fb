import { nn, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';

const options = z.strictObject({
  scale: z.number().min(0).default(0.5).describe('of the squared distances; the paper has a half'),
});

export interface CentreOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * Centre loss (Wen, Zhang, Li, Qiao, "A discriminative feature learning approach for deep face recognition", ECCV 2016), a
 * term to be added to a loss that parts classes: the mean of ½ |x - c_y|² to a learned centre for each class, which starts
 * at 0. Labels are 0..numClasses-1.
 */
export class CentreLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly scale: number;
  /** (numClasses, embeddingDim). */
  readonly centres: Tensor;

  constructor({ numClasses, embeddingDim, generator: _, ...given }: CentreOptions) {
    super();
    this.scale = withDefaults('CentreLoss', options, given).scale;
    this.centres = nn.parameter(zeros([numClasses, embeddingDim]));
  }

  forward(rows: Rows): Tensor {
    return scope(() => {
      const own = this.centres.indexSelect(0, classTargets('centre loss', rows, this.centres.size(0)));
      return rows.embeddings.sub(own).square().sum(1).mean().mul(this.scale);
    });
  }
}

export const centre = lossPart({
  name: 'centre',
  help: "a term beside another loss: distances to a learned centre of the image's class (Wen et al. 2016)",
  usesTuples: false,
  learns: true,
  differs:
    "of the paper, with centres that are learned by the optimiser; pytorch-metric-learning's CenterInvariantRegularizer is another thing",
  options,
  build: (options, { numClasses, embeddingDim }: LossContext) =>
    new CentreLoss({ ...options, numClasses, embeddingDim }),
});
