// Distance-weighted mining, batch 128 × 512, to index tuples.
import { batchRows, DistanceWeightedMiner, Random } from '../../packages/conquer/dist/index.js';
import { F, Generator, randn, tensor } from '../../packages/torch/dist/index.js';
import { serve } from './side.mjs';

const generator = new Generator(1);
const labels = Int32Array.from({ length: 128 }, (_, i) => Math.floor(i / 4));
const centres = randn([32, 512], { generator });
const embeddings = F.normalize(
  centres.indexSelect(0, tensor(labels, { dtype: 'int64' })).add(randn([128, 512], { generator })),
);
const miner = new DistanceWeightedMiner({ random: new Random(1) });

// A batch takes too little time to be measured alone. So many take half as long as the peer's 200.
const BATCHES = 1000;

await serve(() => {
  const start = performance.now();
  let tuples = 0;
  for (let i = 0; i < BATCHES; i++) tuples = miner.mine(batchRows(embeddings, labels)).anchors.length;
  return { tuples, seconds: (performance.now() - start) / 1000 / BATCHES };
});
