// Trains with a miner of one's own: each anchor with every positive, and the nearest negative beyond that positive
// (semi-hard triplets: Schroff et al., FaceNet, CVPR 2015).
// node examples/dist/own-miner.js photos runs/own-miner
import { noGrad } from '@conquer-dml/torch';
import type { Miner, Rows, Tuples } from 'conquer-dml';
import { pairwiseDistances, train } from 'conquer-dml';

class SemiHard implements Miner {
  /** Of anchors and the rows they are compared with, both the batch. @returns their positions; none skips the batch */
  mine(anchors: Rows, reference: Rows): Tuples {
    using distances = noGrad(() => pairwiseDistances(anchors.embeddings, { to: reference.embeddings }));
    const triplets: number[][] = [];
    for (const [anchor, row] of (distances.tolist() as number[][]).entries()) {
      const isOther = (image: number) => reference.labels[image] !== anchors.labels[anchor];
      const nearest = [...row.keys()].sort((a, b) => (row[a] ?? 0) - (row[b] ?? 0));
      for (const [rank, positive] of nearest.entries()) {
        if (isOther(positive) || reference.imageIds[positive] === anchors.imageIds[anchor]) continue;
        const negative = nearest.slice(rank).find(isOther);
        if (negative !== undefined) triplets.push([anchor, positive, negative]);
      }
    }
    const column = (place: number) => Int32Array.from(triplets, (triplet) => triplet[place] ?? 0);
    return { anchors: column(0), positives: column(1), negatives: column(2) };
  }
}

const [folder = 'photos', run = 'runs/own-miner'] = process.argv.slice(2);
const { untrained, best } = await train(
  {
    miner: new SemiHard(),
    loss: { name: 'triplet' },
    data: { dataset: { name: 'folder', folder }, imageSize: 32, batchSize: 40 },
    model: { backbone: { name: 'small-resnet' } },
    divide: { numLearners: 2 },
    train: { epochs: 24 },
  },
  { run },
);
console.log(JSON.stringify({ untrained, best: best?.metrics }));
