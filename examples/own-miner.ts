// Trains with a miner of one's own: each anchor with every positive, and the nearest negative beyond that positive
// (semi-hard triplets: Schroff et al., FaceNet, CVPR 2015).
// node examples/dist/own-miner.js FOLDER RUN
import { noGrad, type Tensor } from '@conquer/torch';
import { type Miner, openFolder, pairwiseDistances, TripletLoss, type Tuples, trainEmbedding } from 'conquer';

class SemiHard implements Miner {
  /** @param embeddings (B, D) @param labels (B) @returns positions in the batch; none at all skips it */
  mine(embeddings: Tensor, labels: Int32Array): Tuples {
    using distances = noGrad(() => pairwiseDistances(embeddings));
    const triplets: number[][] = [];
    for (const [anchor, row] of (distances.tolist() as number[][]).entries()) {
      const nearest = [...row.keys()].sort((a, b) => (row[a] ?? 0) - (row[b] ?? 0));
      for (const [rank, positive] of nearest.entries()) {
        if (positive === anchor || labels[positive] !== labels[anchor]) continue;
        const negative = nearest.slice(rank).find((image) => labels[image] !== labels[anchor]);
        if (negative !== undefined) triplets.push([anchor, positive, negative]);
      }
    }
    const column = (place: number) => Int32Array.from(triplets, (triplet) => triplet[place] ?? 0);
    return { anchors: column(0), positives: column(1), negatives: column(2) };
  }
}

const [folder = 'photos', run = 'runs/own-miner'] = process.argv.slice(2);
const summary = await trainEmbedding({
  dataset: await openFolder({ folder }),
  run,
  miner: new SemiHard(),
  loss: new TripletLoss(),
  arch: 'small-resnet',
  imageSize: 32,
  numLearners: 2,
  batchSize: 40,
  epochs: 8,
});
console.log(JSON.stringify({ untrained: summary.untrained, best: summary.best?.metrics }));
