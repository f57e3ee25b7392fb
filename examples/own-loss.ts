// Trains with a loss of one's own: supervised contrastive (Khosla et al., arXiv 2004.11362, equation 2).
// node examples/dist/own-loss.js photos runs/own-loss
import { scope, type Tensor } from '@conquer-dml/torch';
import { Loss, pairMasks, type Rows, train } from 'conquer-dml';

class SupervisedContrastiveLoss extends Loss {
  readonly usesTuples = false; // it reads the whole batch, so it needs no miner
  readonly usesReference = true;
  constructor(readonly temperature = 0.1) {
    super();
  }

  /** Of A anchors and the N rows they are compared with, both the batch; what is made in the scope is freed at its end. */
  forward(anchors: Rows, reference: Rows): Tensor {
    return scope(() => {
      const { positives, same } = pairMasks('supervised contrastive loss', anchors, reference);
      // log of exp(z_i z_j / t) over its sum for all j but i's own image; no logarithm overflows, as |z_i z_j| <= 1
      const similarities = anchors.embeddings.matmul(reference.embeddings.t()).div(this.temperature);
      const sums = similarities.exp().mul(same.logicalNot()).sum(1, true);
      const logs = similarities.sub(sums.log());
      const counts = positives.sum(1).clamp({ min: 1 });
      return logs.mul(positives).sum(1).div(counts).mean().neg();
    });
  }
}

const [folder = 'photos', run = 'runs/own-loss'] = process.argv.slice(2);
const { untrained, best } = await train(
  {
    loss: new SupervisedContrastiveLoss(),
    data: { dataset: { name: 'folder', folder }, imageSize: 32, batchSize: 40 },
    model: { backbone: { name: 'small-resnet' } },
    divide: { numLearners: 2 },
    train: { epochs: 8 },
  },
  { run },
);
console.log(JSON.stringify({ untrained, best: best?.metrics }));
