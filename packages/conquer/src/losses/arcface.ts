import { arange, F, type Generator, nn, randn, scope, type Tensor } from '@conquer/torch';
import { classTargets } from '../batch-labels.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Loss } from './loss.js';

export interface ArcFaceOptions {
  /** Of the training data. */
  numClasses: number;
  /** D. */
  embeddingDim: number;
  /** m, in radians. Default 0.5. */
  angularMargin?: number;
  /** s, the inverse of a temperature. Default 16; the paper's is 64. */
  featureScale?: number;
  /**
   * 'revisiting-dml': similarities below 0 count as 0, as in that collection, so that an image more than 90° from a
   * class neither leaves nor approaches it.
   */
  compat?: 'revisiting-dml';
  /** Draws the class weights; without one, the generator that manualSeed() sets. */
  generator?: Generator;
}

/** All of its options. */
const optionNames: OptionNames<ArcFaceOptions> = {
  numClasses: true,
  embeddingDim: true,
  angularMargin: true,
  featureScale: true,
  compat: true,
  generator: true,
};

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
  readonly angularMargin: number;
  readonly featureScale: number;
  readonly compat: 'revisiting-dml' | undefined;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor(options: ArcFaceOptions) {
    super();
    refuseUnknownOptions('ArcFaceLoss', options, optionNames);
    const { numClasses, embeddingDim, angularMargin = 0.5, featureScale = 16, compat, generator } = options;
    this.angularMargin = angularMargin;
    this.featureScale = featureScale;
    this.compat = compat;
    this.classWeights = nn.parameter(
      randn([numClasses, embeddingDim], { generator }).div_(Math.sqrt(embeddingDim)),
    );
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    return scope(() => {
      const { device } = embeddings;
      const own = classTargets('arcface loss', embeddings, labels, this.classWeights.size(0)).unsqueeze(1);
      const cosines = F.linear(embeddings, F.normalize(this.classWeights)).clamp(
        this.compat === 'revisiting-dml' ? { min: 1e-10, max: 1 - 1e-10 } : { min: -1, max: 1 },
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
