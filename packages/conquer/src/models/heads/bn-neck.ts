import { nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../../part.js';
import { Head, type HeadBuilder, type HeadShape } from './head.js';
import { BatchNormOfRows } from './neck.js';

const options = z.strictObject({});

/**
 * BNNeck (Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019): the embedding goes
 * through a BatchNorm whose bias stays 0, so that it lies about the origin, as losses of angles and proxies want it. The
 * paper gives a second, metric loss what comes before that; here the one loss there is sees what is searched.
 */
export class BnNeckHead extends Head {
  readonly embedding: nn.Linear;
  readonly headBn: BatchNormOfRows;

  constructor({ featureSize, embeddingDim, generator }: HeadShape) {
    super();
    this.embedding = new nn.Linear(featureSize, embeddingDim, { generator });
    this.headBn = new BatchNormOfRows(embeddingDim);
    this.headBn.bias?.requiresGrad_(false);
  }

  forward(features: Tensor): Tensor {
    return scope(() => this.headBn.forward(this.embedding.forward(features)));
  }
}

export const bnNeck = part({
  name: 'bnneck',
  help: 'one linear layer, and BatchNorm without bias behind it (BNNeck, Luo et al. 2019)',
  options,
  build: (): HeadBuilder => (shape) => new BnNeckHead(shape),
});
