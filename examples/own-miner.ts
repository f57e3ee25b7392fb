// Trains with a miner of one's own: each anchor with every positive, and the negative that is nearest to the positive.
// node examples/dist/own-miner.js FOLDER RUN
import { noGrad, type Tensor } from '@conquer/torch';
import { type Miner, openFolder, pairwiseDistances, TripletLoss, type Tuples, trainEmbedding } from 'conquer';

class NearestToPositive implements Miner {
  /** @param embeddings (B, D) @param labels (B) @returns positions in the batch; none at all skips it */
  mine(embeddings: Tensor, labels: Int32Array): Tuples {
    using distances = noGrad(() => pairwiseDistances(embeddings));
    const rows = distances.tolist() as number[][];
    const [anchors, positives, negatives]: [number[], number[], number[]] = [[], [], []];
    const batch = [...labels.keys()];
    for (const anchor of batch) {
      const others = batch.filter((image) => labels[image] !== labels[anchor]);
      for (const positive of batch) {
        if (positive === anchor || labels[positive] !== labels[anchor]) continue;
        const row = rows[positive] ?? [];
        const negative = others.reduce((a, b) => ((row[b] ?? 9) < (row[a] ?? 9) ? b : a), others[0] ?? -1);
        if (negative < 0) continue;
        anchors.push(anchor);
        positives.push(positive);
        negatives.push(negative);
      }
    }
    const [a, p, n] = [anchors, positives, negatives].map((list) => Int32Array.from(list));
    return { anchors: a as Int32Array, positives: p as Int32Array, negatives: n as Int32Array };
  }
}

const [folder = 'photos', run = 'runs/own-miner'] = process.argv.slice(2);
const summary = await trainEmbedding({
  ...{ dataset: await openFolder({ folder }), run, miner: new NearestToPositive(), loss: new TripletLoss() },
  ...{ arch: 'small-resnet', imageSize: 32, learningRate: 1e-3, numLearners: 2, epochs: 3 },
});
console.log(JSON.stringify({ untrained: summary.untrained, best: summary.best?.metrics }));
