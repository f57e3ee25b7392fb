// One training step: forward, metric loss on mined tuples, mask loss, backward, Adam.
import {
  ActivationCheckpoints,
  createModel,
  DistanceWeightedMiner,
  MarginLoss,
  Random,
  TrainingOptimizer,
  TrainingStep,
} from '../../packages/conquer/dist/index.js';
import { embedWhole } from '../../packages/conquer/dist/optimize/batch-embedder.js';
import { sharedEmbedder } from '../../packages/conquer/dist/optimize/shared-embedder.js';
import {
  Generator,
  ProcessGroup,
  randn,
  scope,
  setFlushDenormal,
  useDeterministicAlgorithms,
} from '../../packages/torch/dist/index.js';
import { peakMemory, processorSeconds, serve, sideArguments } from './side.mjs';

const { arch, batch, size, learners, bn, device = 'cpu', steps = '1', deterministic } = sideArguments();
const { precision = 'float32', checkpointing } = sideArguments();
// Of several processes: RANK/SIZE@HOST:PORT; whether gradients go around while others are computed; its own threads; classes of so
// many images.
const { place, overlap = 'yes', threads = '2', perClass = '4' } = sideArguments();
const numLearners = Number(learners);
const IMAGES_PER_CLASS = Number(perClass);

// As the command line does.
setFlushDenormal(true);
if (deterministic === 'yes') useDeterministicAlgorithms(true);

const generator = new Generator(1);
const model = createModel(arch, {
  frozenBatchNorm: bn === 'frozen',
  embeddingDim: 512,
  dropout: 0,
  masks: { numLearners, initialisation: 'normal', generator },
  generator,
}).to({ device });
const loss = new MarginLoss().to({ device });
const optimizer = new TrainingOptimizer(model, loss, { learningRate: 1e-5, weightDecay: 1e-4 });
const miner = new DistanceWeightedMiner({ random: new Random(1), loss });
model.backbone.precision = precision;
const [, rank, ranks, host, port] = /^(\d+)\/(\d+)@(.+):(\d+)$/.exec(place ?? '') ?? [];
const group =
  place === undefined
    ? ProcessGroup.alone()
    : ProcessGroup.join({ host, port: Number(port), rank: Number(rank), size: Number(ranks), silence: 300 });
const dropoutGenerator = new Generator(2);
/** Says of no pass that gradients are whole after it, so that they go around when all is over. */
const afterwards = {
  embed: (images) => {
    const { rows, backward } = embedWhole(model, images);
    return { rows, backward: (total) => backward(total) };
  },
};
const whole = checkpointing === 'yes' ? new ActivationCheckpoints(model, dropoutGenerator) : null;
const inner = overlap === 'no' ? afterwards : whole;
const embedder = sharedEmbedder(group, { model, loss, dropoutGenerator, largeBatches: { embedder: inner } });
const step = new TrainingStep({ model, loss, miner, optimizer, maskLambda: 0.01, embedder, group });
const { from, count } = group.share(Number(batch));
const images = randn([Number(batch), 3, Number(size), Number(size)], { generator })
  .narrow(0, from, count)
  .to({ device });
const labels = Int32Array.from({ length: Number(batch) }, (_, i) => Math.floor(i / IMAGES_PER_CLASS));
model.train();

let learner = 0;
const run = () => {
  const { skipped } = step.run({ images, labels, learner, fullEmbedding: false });
  if (skipped !== null) throw new Error(`the step trained nothing: ${skipped}`);
  learner = (learner + 1) % numLearners;
};

await serve(
  () => {
    const start = performance.now();
    const before = processorSeconds();
    for (let i = 0; i < Number(steps); i++) run();
    // A card works on after the last call has returned.
    scope(() => model.masks[0].detach().sum().item());
    const seconds = (performance.now() - start) / 1000 / Number(steps);
    return { seconds, processor: (processorSeconds() - before) / Number(steps), peak: peakMemory() };
  },
  { threads: Number(threads) },
);
