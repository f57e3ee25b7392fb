import { arange, F, nn, randn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';

const options = z.strictObject({
  angularMargin: z.number().min(0).max(3).default(0.5).describe('m, in radians'),
  featureScale: z
    .number()
    .min(1e-3)
    .default(16)
    .describe("s, the inverse of a temperature; the paper's is 64"),
});

export interface ArcFaceOptions extends z.input<typeof options>, ClassWeightsContext {
  /**
   * 'revisiting-dml': similarities below 0 count as 0, as in that collection, so that an image more than 90° from a
   * class neither leaves nor approaches it.
   */
  compat?: Compat | null;
}

/** Bounds the gradient of the sine at 0 and 180 degrees. */
const LEAST_SQUARED_SINE = 1e-12;

/**
 * ArcFace (Deng, Guo, Xue, Zafeiriou, "ArcFace: additive angular margin loss for deep face recognition", CVPR
 * 2019): cross entropy of s cos θ_c with s cos(θ_y + m) for the image's own class, θ_c the angle to the
 * learned weights of class c. Where θ_y + m exceeds 180°, cos θ_y - m sin m goes on decreasing in its place,
 * as in the authors' code.
 *
 * Labels are 0..numClasses-1.
 */
export class ArcFaceLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly angularMargin: number;
  readonly featureScale: number;
  readonly #asCollection: boolean;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor({ numClasses, embeddingDim, generator, compat, ...given }: ArcFaceOptions) {
    super();
    const { angularMargin, featureScale } = withDefaults('ArcFaceLoss', options, given);
    this.angularMargin = angularMargin;
    this.featureScale = featureScale;
    this.#asCollection = compat === 'revisiting-dml';
    this.classWeights = nn.parameter(
      randn([numClasses, embeddingDim], { generator }).div_(Math.sqrt(embeddingDim)),
    );
  }

  forward(rows: Rows): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const { device } = embeddings;
      const own = classTargets('arcface loss', rows, this.classWeights.size(0)).unsqueeze(1);
      const cosines = F.linear(embeddings, F.normalize(this.classWeights)).clamp(
        this.#asCollection ? { min: 1e-10, max: 1 - 1e-10 } : { min: -1, max: 1 },
      );
      const isOwn = arange(0, cosines.size(1), 1, { dtype: 'int64', device }).eq(own);
      const withMargin = this.withMargin(cosines.gather(1, own));
      const logits = cosines.where(isOwn.logicalNot(), withMargin).mul(this.featureScale);
      return F.crossEntropy(logits, own.squeeze(1));
    });
  }

  /** cos θ → cos(θ + m), continued beyond 180°. */
  private withMargin(cosine: Tensor): Tensor {
    const [cosM, sinM] = [Math.cos(this.angularMargin), Math.sin(this.angularMargin)];
    const sine = cosine.square().neg().add(1).clamp({ min: LEAST_SQUARED_SINE }).sqrt();
    const shifted = cosine.mul(cosM).sub(sine.mul(sinM));
    return shifted.where(cosine.gt(-cosM), cosine.sub(this.angularMargin * sinM));
  }
}

export const arcface = lossPart({
  name: 'arcface',
  help: 'cross entropy with an additive angular margin (Deng et al. 2019)',
  usesTuples: false,
  learns: true,
  options,
  build: (options, context: LossContext) => new ArcFaceLoss({ ...options, ...context }),
});
