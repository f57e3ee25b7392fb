// Trains with a loss of one's own: supervised contrastive (Khosla et al., arXiv 2004.11362, equation 2).
// node examples/dist/own-loss.js FOLDER RUN
import { eye, scope, type Tensor, tensor } from '@conquer/torch';
import { Loss, openFolder, trainEmbedding } from 'conquer';

class SupervisedContrastiveLoss extends Loss {
  readonly usesTuples = false; // it reads the whole batch, so it needs no miner
  constructor(readonly temperature = 0.1) {
    super();
  }

  /** Of embeddings (B, D) of length 1 and their B labels; what is made within the scope is freed at its end. */
  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    return scope(() => {
      const self = eye(labels.length, { device: embeddings.device });
      const classes = tensor(labels, { device: embeddings.device });
      const positives = classes.unsqueeze(0).eq(classes.unsqueeze(1)).to('float32').sub(self);
      // log of exp(z_i z_j / t) over its sum for all j but i; no logarithm overflows, as |z_i z_j| <= 1
      const similarities = embeddings.matmul(embeddings.t()).div(this.temperature);
      const sums = similarities.exp().mul(self.neg().add(1)).sum(1, true);
      const logs = similarities.sub(sums.log());
      const counts = positives.sum(1).clamp({ min: 1 });
      return logs.mul(positives).sum(1).div(counts).mean().neg();
    });
  }
}

const [folder = 'photos', run = 'runs/contrastive'] = process.argv.slice(2);
const summary = await trainEmbedding({
  dataset: await openFolder({ folder }),
  run,
  loss: new SupervisedContrastiveLoss(),
  arch: 'small-resnet',
  imageSize: 32,
  numLearners: 2,
  batchSize: 40,
  epochs: 8,
});
console.log(JSON.stringify({ untrained: summary.untrained, best: summary.best?.metrics }));
