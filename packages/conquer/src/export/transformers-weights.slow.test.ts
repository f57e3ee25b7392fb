import { basename, join } from 'node:path';
import { describeWithPyPI, runPython, transformersPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, noGrad, randn, readSafetensors, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { calibrateBatchNorm } from '../golden/deterministic-weights.js';
import type { Backbone } from '../models/backbones/backbone.js';
import { ConvNeXt } from '../models/backbones/convnext/convnext.js';
import { ResNet } from '../models/backbones/resnet/resnet.js';
import { ViT } from '../models/backbones/vit/vit.js';
import { createBackbone } from '../models/create-model.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { imageNetInput } from '../models/input-format.js';
import { pooledFeatures } from '../models/layers/pooled-features.js';
import { lora } from '../models/tunings/lora.js';
import { backboneOfConfig } from '../models/weights/hub-config.js';
import { openModel } from '../retrieve/open-model.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { exportSafetensors } from './export-safetensors.js';

const SIDE = 64;
const input = { ...imageNetInput, size: SIDE, cropShare: 1 };
const generator = new Generator(1);
const preprocessing = {
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  size: { height: SIDE, width: SIDE },
};
const ofConfig = (config: object) => backboneOfConfig(config, preprocessing, { generator });
const token = { patch: 16, size: SIDE, width: 24, depth: 2, heads: 3 };

/** Small ones of each family that is written, by what makes of its class's output a feature. */
const families: [name: string, build: () => Backbone, feature: string][] = [
  ['vit', () => new ViT('vit', { ...token, eps: 1e-6 }, input, { generator }), 'state[:, 0]'],
  [
    'vit-plain',
    () => new ViT('vit', { ...token, qkvBias: false, activation: 'quick-gelu' }, input, { generator }),
    'state[:, 0]',
  ],
  ['dinov2', () => new ViT('dinov2', { ...token, layerScale: true }, input, { generator }), 'state[:, 0]'],
  [
    'resnet',
    () =>
      new ResNet(
        'small',
        { generator },
        { block: 'basic', depths: [1, 1, 1, 2], channels: [64, 72, 80, 88] },
        input,
      ),
    'state.mean((2, 3))',
  ],
  [
    'resnet-50',
    () =>
      new ResNet(
        'small',
        { generator },
        { block: 'bottleneck', depths: [1, 2, 1, 1], channels: [16, 24, 32, 40] },
        input,
      ),
    'state.mean((2, 3))',
  ],
  [
    'convnext',
    () => new ConvNeXt('small', { depths: [1, 1, 2, 1], dims: [8, 16, 24, 32] }, input, { generator }),
    'pooled',
  ],
  [
    'convnextv2',
    () =>
      new ConvNeXt(
        'small',
        { depths: [1, 1, 1, 1], dims: [8, 16, 24, 32], grn: true, convMlp: true, headEps: 1e-12 },
        input,
        { generator },
      ),
    'pooled',
  ],
  [
    'efficientnet',
    () =>
      ofConfig({
        model_type: 'efficientnet',
        width_coefficient: 0.5,
        depth_coefficient: 1,
        hidden_dim: 640,
        depthwise_padding: [5],
      }),
    'state.mean((2, 3))',
  ],
  [
    'mobilenetv2',
    () => ofConfig({ model_type: 'mobilenet_v2', depth_multiplier: 0.5 }),
    'state.mean((2, 3))',
  ],
];

function modelOn(backbone: Backbone): TrainedModel {
  const model = new EmbeddingModel(backbone, { embeddingDim: 8, generator });
  using images = randn([8, 3, SIDE, SIDE], { generator });
  calibrateBatchNorm(model, images);
  // What begins as nothing or as one is to matter.
  noGrad(() =>
    scope(() => {
      for (const [name, value] of model.stateDict())
        if (/gamma|grn|(qkv|proj|fc[12])\.bias$|lora_b$/.test(name))
          value.copy_(randn(value.shape, { generator }).mul(0.2));
    }),
  );
  return new TrainedModel(model.eval(), { id: 'drawn', source: '/somewhere', checkpoint: null }, 'cpu');
}

const inTransformers = `
import torch, transformers
from safetensors.torch import load_file
transformers.logging.set_verbosity_error()
output = []
for folder, feature in input['exported']:
    config = transformers.AutoConfig.from_pretrained(folder)
    plain = {'add_pooling_layer': False} if config.model_type == 'vit' else {}
    strict = getattr(transformers, config.architectures[0])(config, **plain).eval()
    strict.load_state_dict(load_file(folder + '/model.safetensors'), strict=True)
    model = transformers.AutoModel.from_pretrained(folder, **plain).eval()
    with torch.no_grad():
        out = model(input['images'])
        state, pooled = out.last_hidden_state, getattr(out, 'pooler_output', None)
        assert torch.equal(state, strict(input['images']).last_hidden_state)
    output.append(eval(feature))
`;

describeWithPyPI(
  'the weights in transformers',
  ['transformers', 'torch', 'safetensors'],
  () => {
    it('are loaded strictly, by the config.json beside them, and give the same features', async () => {
      using images = randn([2, 3, SIDE, SIDE], { generator: new Generator(2) });
      const exported: [folder: string, feature: string][] = [];
      const wanted: Tensor[] = [];
      for (const [name, build, feature] of families) {
        const folder = join(temporaryFolder(), name);
        using trained = modelOn(build());
        const { files } = await exportSafetensors(trained, folder, { names: 'transformers' });
        expect(files.map((file) => basename(file))).toEqual([
          'model.safetensors',
          'head.safetensors',
          'config.json',
          'preprocessor_config.json',
        ]);
        exported.push([folder, feature]);
        noGrad(() => wanted.push(pooledFeatures((trained.model as EmbeddingModel).backbone, images, 'avg')));
      }
      const got = runPython<Tensor[]>(inTransformers, { exported, images }, transformersPython);
      for (const [i, [name]] of families.entries())
        scope(() => {
          const largest = wanted[i]!.abs().max().item();
          expect(got[i]!.sub(wanted[i]!).abs().max().item() / largest, name).toBeLessThan(2e-5);
        });
    });
  },
  transformersPython,
);

it('the folder opens here again, and a file has the rest beside them; adapters are in the weights', async () => {
  const folder = temporaryFolder();
  const backbone = new ViT('vit', token, input, { generator });
  lora.build(lora.options.parse({ rank: 2 }), { backbone } as never);
  using trained = modelOn(backbone);
  await exportSafetensors(trained, join(folder, 'parts'), { names: 'transformers' });
  await exportSafetensors(trained, join(folder, 'all.safetensors'), { names: 'transformers' });
  const { tensors } = readSafetensors(join(folder, 'all.safetensors'));
  expect([...tensors.keys()]).toEqual(expect.arrayContaining(['embeddings.cls_token', 'embedding.weight']));
  expect([...tensors.keys()].some((name) => name.includes('lora'))).toBe(false);
  for (const tensor of tensors.values()) tensor.dispose();
  using again = await openModel(join(folder, 'parts'));
  using images = randn([1, 3, SIDE, SIDE], { generator });
  using wanted = noGrad(() => trained.model.features(images));
  using found = noGrad(() => again.model.features(images));
  using difference = found.sub(wanted).abs().max();
  expect(difference.item()).toBeLessThan(1e-5);
  expect(again.view.size).toBe(SIDE);
});

it('a network that transformers has not as it is here is refused', async () => {
  for (const name of ['tf_efficientnet_lite0.in1k', 'mobilenetv2_100.ra_in1k'] as const) {
    using trained = modelOn(createBackbone(name, { generator }));
    const folder = join(temporaryFolder(), 'no');
    await expect(exportSafetensors(trained, folder, { names: 'transformers' })).rejects.toThrow(
      new RegExp(`^${name}: expected a network that transformers has as it is here`),
    );
  }
});
