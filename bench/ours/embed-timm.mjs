// Files to embeddings with a network of timm's, as `conquer embed` does it, in seconds of the processor on all threads.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openModel } from '../../packages/conquer/dist/index.js';
import { createBackbone } from '../../packages/conquer/dist/models/create-model.js';
import { FrozenNetwork } from '../../packages/conquer/dist/models/tunings/frozen-network.js';
import { TrainedModel } from '../../packages/conquer/dist/retrieve/trained-model.js';
import { Generator } from '../../packages/torch/dist/index.js';
import { processorSeconds, serve, sideArguments } from './side.mjs';

const BUILT_IN = 'tf_efficientnet_lite0.in1k';
const { folder, arch, images } = sideArguments();
const names = readdirSync(folder).filter((name) => name.endsWith('.jpg'));
const paths = Array.from({ length: Number(images) }, (_, i) => join(folder, names[i % names.length]));

/** With weights of its own where they come with the program, else with random ones. */
async function open() {
  if (arch === BUILT_IN) return await openModel(arch);
  const backbone = createBackbone(arch, { generator: new Generator(1) });
  const network = new FrozenNetwork(backbone, backbone.input);
  network.eval();
  return new TrainedModel(network, { id: '', source: arch, checkpoint: null }, 'cpu');
}
const model = await open();

await serve(async () => {
  const before = processorSeconds();
  const rows = await model.embed(paths);
  return { seconds: processorSeconds() - before, images: rows.length / model.dim };
});
