import { Generator, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { calibrateBatchNorm } from '../../golden/deterministic-weights.js';
import { ResNet } from '../../models/backbones/resnet/resnet.js';
import { createBackbone, type NamedBackbone } from '../../models/create-model.js';
import { EmbeddingModel, type EmbeddingModelOptions } from '../../models/embedding-model.js';
import type { EmbeddingNetwork } from '../../models/embedding-network.js';
import { atTestTime } from '../../models/test-time.js';
import { FrozenNetwork } from '../../models/tunings/frozen-network.js';
import { lora } from '../../models/tunings/lora.js';
import { prompts } from '../../models/tunings/prompt-tuning.js';
import { smallBackbones } from '../../testing/small-backbones.js';
import { cosine } from '../compare-graph.js';
import { withMergedAdapters } from '../merged-adapters.js';
import { RunningGraph } from '../runtime.js';
import type { Graph } from './graph.js';
import { halfGraph } from './half.js';
import { modelGraph } from './model-graph.js';
import { onnxFile } from './onnx-file.js';

// Every family, head, pooling and tuning as a graph in onnxruntime, against libtorch.

/** Statistics and biases that matter, which a network has only after training. */
function drawn<Network extends EmbeddingNetwork>(network: Network): Network {
  const generator = new Generator(3);
  noGrad(() =>
    scope(() => {
      for (const [name, value] of network.stateDict())
        if (/bias$/.test(name)) value.copy_(randn(value.shape, { generator }).mul(0.1));
        else if (/lora_b$|prompt/.test(name)) value.copy_(randn(value.shape, { generator }).mul(0.3));
    }),
  );
  calibrateBatchNorm(network as never, randn([8, 3, network.view.size, network.view.size], { generator }));
  network.eval();
  return network;
}

async function agrees(network: EmbeddingNetwork): Promise<void> {
  const { graph, network: from } = await withMergedAdapters(network, async () =>
    modelGraph(network, 'pixel_values'),
  );
  const opened = async (of: Graph) =>
    (await RunningGraph.open(Buffer.concat(onnxFile(of, { producer: 'test', version: '0', metadata: {} }))))!;
  const running = await opened(graph);
  const halves = await opened(halfGraph(graph, from));
  const { size } = network.view;
  for (const batch of [1, 4]) {
    using images = randn([batch, 3, size, size], { generator: new Generator(batch) });
    using wanted: Tensor = noGrad(() => network.embed(images));
    const rows = await running.rows(images.toTypedArray() as Float32Array, images.shape);
    const numbers = wanted.toNumbers();
    expect(rows).toHaveLength(numbers.length);
    for (const [i, number] of numbers.entries()) expect(Math.abs(rows[i]! - number)).toBeLessThan(1e-4);
    const rough = await halves.rows(images.toTypedArray() as Float32Array, images.shape);
    for (let row = 0; row < batch; row++) {
      const of = (all: ArrayLike<number>) =>
        Array.from(all).slice(row * network.embeddingDim, (row + 1) * network.embeddingDim);
      expect(cosine(of(rough), of(numbers))).toBeGreaterThan(0.999);
    }
    // Pictures are told apart.
    if (batch > 1) expect(wanted.std(0).max().item()).toBeGreaterThan(3e-4);
  }
  await running.close();
  await halves.close();
}

const named: Record<string, () => EmbeddingModel> = Object.fromEntries(
  (
    [
      [{ name: 'small-resnet', widths: [4, 8] }, {}],
      ['alexnet', { reading: { size: 64 } }],
      ['vgg11bn', { reading: { size: 32 } }],
      ['bn-inception', { reading: { size: 96 } }],
    ] as [NamedBackbone, EmbeddingModelOptions][]
  ).map(([backbone, options]) => [
    typeof backbone === 'string' ? backbone : backbone.name,
    () =>
      new EmbeddingModel(createBackbone(backbone, { generator: new Generator(1) }), {
        embeddingDim: 8,
        ...options,
      }),
  ]),
);

it.each(Object.keys(smallBackbones))('%s', async (name) => {
  const backbone = smallBackbones[name]!(new Generator(1));
  using network = drawn(new EmbeddingModel(backbone, { embeddingDim: 8, generator: new Generator(2) }));
  await agrees(network);
});

it.each(Object.keys(named))('%s', async (name) => {
  using network = drawn(named[name]!());
  await agrees(network);
});

it.each<[string, EmbeddingModelOptions]>([
  ['gem', { pooling: 'gem' }],
  ['max', { pooling: 'max' }],
  ['an MLP', { head: { name: 'mlp', hidden: [6], neck: 'batch-norm' } }],
  [
    'an MLP behind LayerNorm',
    { head: { name: 'mlp', hidden: [6, 5], neck: 'layer-norm', hiddenNorm: false } },
  ],
  ['BNNeck', { head: { name: 'bnneck' } }],
  ['masks', { fullEmbeddingMasks: 'sum', masks: { numLearners: 4, initialisation: 'normal' } }],
  ['masks of sum 1', { fullEmbeddingMasks: 'sum-l1', masks: { numLearners: 2, initialisation: 'normal' } }],
])('%s', async (_, options) => {
  for (const family of options.pooling ? ['resnet'] : ['resnet', 'dinov3']) {
    const backbone = smallBackbones[family]!(new Generator(1));
    using network = drawn(new EmbeddingModel(backbone, { embeddingDim: 8, ...options }));
    await agrees(network);
  }
});

it('a ResNet of bottlenecks', async () => {
  const shape = { block: 'bottleneck', depths: [1, 1, 1, 1], channels: [4, 4, 8, 8] } as const;
  const input = { size: 64, mean: [0, 0, 0], std: [1, 1, 1] } as never;
  using network = drawn(new EmbeddingModel(new ResNet('resnet', {}, shape, input), { embeddingDim: 8 }));
  await agrees(network);
});

it('features as they were published, several views and a prefix', async () => {
  using network = drawn(new FrozenNetwork(smallBackbones.convnext!(new Generator(1))));
  await agrees(network);
  await agrees(atTestTime(network, { flips: true, prefix: 5 }));
});

it('what LoRA learnt, which stays beside the weights of the model itself', async () => {
  const backbone = smallBackbones.vit!(new Generator(1));
  lora.build(lora.options.parse({ rank: 2 }), { backbone } as never);
  using network = drawn(new EmbeddingModel(backbone, { embeddingDim: 8 }));
  using images = randn([2, 3, 64, 64]);
  using before = network.embed(images);
  await agrees(network);
  using after = network.embed(images);
  expect(after.toNumbers()).toEqual(before.toNumbers());
});

it.each([false, true])('prompts, deep: %s', async (deep) => {
  const backbone = smallBackbones.vit!(new Generator(1));
  prompts.build(prompts.options.parse({ count: 3, deep }), { backbone } as never);
  using network = drawn(new EmbeddingModel(backbone, { embeddingDim: 8 }));
  await agrees(network);
});
