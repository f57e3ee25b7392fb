import { nn, noGrad, ones, scope, type Tensor } from '@conquer-dml/torch';

/** The smallest value that is raised to a power: below it the gradient has no bound. */
const EPS = 1e-6;

/**
 * Generalised-mean pooling, (mean of max(x, 1e-6)^p)^(1/p), with a power p that is learned: 1 is the average, and the more
 * it grows the nearer the maximum. Radenović, Tolias, Chum, Fine-tuning CNN Image Retrieval with No Human Annotation, 2019.
 */
export class GeMPooling extends nn.Module {
  /** (1) */
  readonly p: Tensor;

  constructor(power: number) {
    super();
    this.p = nn.parameter(noGrad(() => ones([1]).mul(power)));
  }

  /** Maps (B, C, h, w) or tokens (B, N, C) to (B, C), which belong to the caller. */
  forward(features: Tensor): Tensor {
    return scope(() => {
      const places = features.ndim === 4 ? [2, 3] : [1];
      return features.clamp({ min: EPS }).pow(this.p).mean(places).pow(this.p.reciprocal());
    });
  }
}
