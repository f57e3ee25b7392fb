// Forward and backward of a vision transformer without a classifier, in seconds of the processor on all threads.
import { createBackbone } from '../../packages/conquer/dist/models/create-model.js';
import { Generator, randn, scope } from '../../packages/torch/dist/index.js';
import { processorSeconds, serve, sideArguments } from './side.mjs';

const { arch, batch, size } = sideArguments();
const generator = new Generator(1);
const network = createBackbone(arch, { generator }).train();
const images = randn([Number(batch), 3, Number(size), Number(size)], { generator });

await serve(() => {
  const before = processorSeconds();
  scope(() => network.features(images).sum().backward());
  for (const parameter of network.parameters()) parameter.grad = null;
  return { seconds: processorSeconds() - before };
});
