import { aten, F, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { angularMargin, marginLogits, type Tangent } from './additive-angular-margin.js';
import { drawnCentres } from './drawn-centres.js';
import { imageWeights, weighedCrossEntropy } from './image-weights.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';
import { weighedOption } from './mined-option.js';

const options = z.strictObject({
  angularMargin: z.number().min(0).max(3).default(0.5).describe('m, in radians'),
  featureScale: z
    .number()
    .min(1e-3)
    .default(16)
    .describe("s, the inverse of a temperature; the paper's is 64"),
  gradient: z
    .enum(['derivative', 'unicom'])
    .default('derivative')
    .describe("unicom: the gradient passes the margin as if it were not there, as in Unicom's code"),
  filterThreshold: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('other classes more similar than this count as 0, without a gradient; 0: none does'),
  weighed: weighedOption,
});

export interface ArcFaceOptions extends z.input<typeof options>, ClassWeightsContext {
  /**
   * 'revisiting-dml': similarities below 0 count as 0, as in that collection, so that an image more than 90° from a
   * class neither leaves nor approaches it.
   */
  compat?: Compat | null;
}

/**
 * ArcFace (Deng, Guo, Xue, Zafeiriou, "ArcFace: additive angular margin loss for deep face recognition", CVPR
 * 2019): cross entropy of s cos θ_c with s cos(θ_y + m) for the image's own class, θ_c the angle to the
 * learned weights of class c. Where θ_y + m exceeds 180°, cos θ_y - m sin m goes on decreasing in its place,
 * as in the authors' code. Unicom (An, Deng, Yang, Li, Feng, Guo, Yang, Liu, ICLR 2023) has margin 0.3 and scale 32, and
 * lets the gradient pass the margin: that of cos θ_y is then s (p_y - 1) / B.
 *
 * Labels are 0..numClasses-1.
 */
export class ArcFaceLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = false;
  readonly angularMargin: number;
  readonly featureScale: number;
  readonly gradient: 'derivative' | 'unicom';
  readonly filterThreshold: number;
  readonly #asCollection: boolean;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor({ numClasses, embeddingDim, generator, compat, ...given }: ArcFaceOptions) {
    super();
    const all = withDefaults('ArcFaceLoss', options, given);
    this.angularMargin = all.angularMargin;
    this.featureScale = all.featureScale;
    this.gradient = all.gradient;
    this.filterThreshold = all.filterThreshold;
    this.usesTuples = all.weighed;
    this.#asCollection = compat === 'revisiting-dml';
    this.classWeights = drawnCentres([numClasses, embeddingDim], generator);
  }

  override get takes() {
    return 'pairs' as const;
  }

  forward(rows: Rows, _reference?: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const own = classTargets('arcface loss', rows, this.classWeights.size(0)).unsqueeze(1);
      const cosines = F.linear(embeddings, F.normalize(this.classWeights)).clamp(
        this.#asCollection ? { min: 1e-10, max: 1 - 1e-10 } : { min: -1, max: 1 },
      );
      const ignored = this.filterThreshold === 0 ? null : cosines.gt(this.filterThreshold);
      const ofOwn = this.tangent(cosines.detach().gather(1, own));
      const logits = marginLogits(cosines, own, ofOwn, { scale: this.featureScale, ignored });
      return weighedCrossEntropy(logits, own.squeeze(1), imageWeights(rows, mined));
    });
  }

  private tangent(cosine: Tensor): Tangent {
    if (this.gradient === 'derivative') return angularMargin(cosine, this.angularMargin);
    // There without the continuation beyond 180°.
    return {
      slope: aten.ones_like(cosine),
      offset: aten.acos(cosine).add(this.angularMargin).cos().sub(cosine),
    };
  }
}

export const arcface = lossPart({
  name: 'arcface',
  help: 'cross entropy with an additive angular margin (Deng et al. 2019)',
  usesTuples: false,
  learns: true,
  differs:
    "the margin in radians (pytorch-metric-learning: degrees) and scale 16 (there 64); `gradient: unicom` and `filterThreshold` as in Unicom's code, whose margin is 0.3 and scale 32",
  options,
  build: (options, context: LossContext) => new ArcFaceLoss({ ...options, ...context }),
});
