// Trains with a loss of one's own: the lifted structured loss (Song et al., CVPR 2016, arXiv 1511.06452, equation 4).
// node examples/dist/own-loss.js FOLDER RUN
import { eye, F, scope, type Tensor, tensor } from '@conquer/torch';
import { Loss, openFolder, pairwiseDistances, trainEmbedding } from 'conquer';

class LiftedStructureLoss extends Loss {
  readonly usesTuples = false; // it reads the whole batch, so it needs no miner

  constructor(readonly margin = 1) {
    super();
  }

  /** Of embeddings (B, D) of length 1 and their B labels; what is made within the scope is freed at its end. */
  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    return scope(() => {
      const classes = tensor(labels, { device: embeddings.device });
      const same = classes.unsqueeze(0).eq(classes.unsqueeze(1));
      const distances = pairwiseDistances(embeddings);
      // log Σ exp(margin - d) over the negatives of either image of a pair
      const pull = distances.neg().add(this.margin).maskedFill(same, Number.NEGATIVE_INFINITY).exp().sum(1);
      const push = pull.unsqueeze(0).add(pull.unsqueeze(1)).add(1e-12).log();
      const positives = same.to('float32').sub(eye(labels.length, { device: embeddings.device }));
      const hinged = F.relu(push.add(distances)).square().mul(positives);
      return hinged.sum().div(positives.sum().mul(2));
    });
  }
}

const [folder = 'photos', run = 'runs/lifted'] = process.argv.slice(2);
const summary = await trainEmbedding({
  dataset: await openFolder({ folder }),
  run,
  loss: new LiftedStructureLoss(),
  ...{ arch: 'small-resnet', imageSize: 32, learningRate: 1e-3, numLearners: 2, epochs: 3 },
});
console.log(JSON.stringify({ untrained: summary.untrained, best: summary.best?.metrics }));
