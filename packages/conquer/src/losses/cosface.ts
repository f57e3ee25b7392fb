import { aten, F, full, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { drawnCentres } from './drawn-centres.js';
import { imageWeights, weighedCrossEntropy } from './image-weights.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';
import { weighedOption } from './mined-option.js';

const options = z.strictObject({
  margin: z
    .number()
    .min(0)
    .default(0.35)
    .describe('m: how much more similar than the others the own class has to be'),
  scale: z.number().min(1e-3).default(64).describe('s, the inverse of a temperature'),
  weighed: weighedOption,
});

export interface CosFaceOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * CosFace (Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, "CosFace: large margin cosine loss for deep face recognition", CVPR
 * 2018): cross entropy of s cos θ_c with s (cos θ_y - m) for the image's own class, θ_c the angle to the learned weights of
 * class c. Labels are 0..numClasses-1.
 */
export class CosFaceLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = false;
  readonly margin: number;
  readonly scale: number;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: CosFaceOptions) {
    super();
    const { margin, scale, weighed } = withDefaults('CosFaceLoss', options, given);
    this.margin = margin;
    this.scale = scale;
    this.usesTuples = weighed;
    this.classWeights = drawnCentres([numClasses, embeddingDim], generator);
  }

  override get takes() {
    return 'pairs' as const;
  }

  forward(rows: Rows, _reference?: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const { dtype, device } = embeddings;
      const numClasses = this.classWeights.size(0);
      const targets = classTargets('cosface loss', rows, numClasses);
      const margins = full([rows.labels.length, 1], -this.margin, { dtype, device });
      const cosines = F.linear(embeddings, F.normalize(this.classWeights));
      const logits = aten.scatter_add(cosines, 1, targets.unsqueeze(1), margins).mul(this.scale);
      return weighedCrossEntropy(logits, targets, imageWeights(rows, mined));
    });
  }
}

export const cosface = lossPart({
  name: 'cosface',
  help: 'cross entropy with an additive cosine margin (Wang et al. 2018)',
  usesTuples: false,
  learns: true,
  differs: "equal in pytorch-metric-learning and the authors' code",
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new CosFaceLoss({ ...options, numClasses, embeddingDim, generator }),
});
