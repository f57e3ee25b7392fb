import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describeWithPyPI, pypiPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, noGrad, randn, readSafetensors, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { calibrateBatchNorm } from '../golden/deterministic-weights.js';
import { createBackbone, type ModelName } from '../models/create-model.js';
import { EmbeddingModel, type EmbeddingModelOptions } from '../models/embedding-model.js';
import { pooledFeatures } from '../models/layers/pooled-features.js';
import { lora } from '../models/tunings/lora.js';
import { prompts } from '../models/tunings/prompt-tuning.js';
import { openModel } from '../retrieve/open-model.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { smallBackbones } from '../testing/small-backbones.js';
import { exportSafetensors } from './export-safetensors.js';

const drawn = (model: EmbeddingModel) =>
  new TrainedModel(model.eval(), { id: 'drawn', source: '/somewhere', checkpoint: null }, 'cpu');

/** With statistics that matter, or of a transformer adapters. */
function modelOn(name: ModelName, options: EmbeddingModelOptions, adapted: boolean): TrainedModel {
  const generator = new Generator(1);
  const backbone = createBackbone(name, { generator });
  if (adapted) lora.build(lora.options.parse({ rank: 2 }), { backbone } as never);
  const model = new EmbeddingModel(backbone, { embeddingDim: 16, generator, ...options });
  noGrad(() =>
    scope(() => {
      for (const [key, value] of model.stateDict())
        if (key.endsWith('lora_b')) value.copy_(randn(value.shape, { generator }).mul(0.1));
    }),
  );
  if (!adapted) {
    using images = randn([8, 3, 64, 64], { generator });
    calibrateBatchNorm(model, images);
  }
  return drawn(model);
}

const families: [ModelName, EmbeddingModelOptions, adapted: boolean][] = [
  ['resnet18.tv_in1k', { fullEmbeddingMasks: 'sum', masks: { numLearners: 2 } }, false],
  ['vit_tiny_patch16_224.augreg_in21k_ft_in1k', {}, true],
  ['convnext_atto.d2_in1k', {}, false],
  ['tf_efficientnet_lite0.in1k', {}, false],
];

/** What timm makes of the folders of several models. */
const inTimm = `
import timm, torch
from safetensors.torch import load_file
output = []
for name, folder, view in input['exported']:
    images = input['images']
    strict = timm.create_model(name.split('.')[0], num_classes=0).eval()
    strict.load_state_dict(load_file(folder + '/model.safetensors'), strict=True)
    model = timm.create_model('local-dir:' + folder, pretrained=True).eval()
    data = timm.data.resolve_data_config(model=model)
    size = view['size']
    assert list(data['input_size']) == [3, size, size], data
    assert int(size / data['crop_pct']) == view['resize'], data
    assert data['interpolation'] == view['input']['interpolation'], data
    assert list(data['mean']) == view['input']['mean'], data
    head = load_file(folder + '/head.safetensors')
    with torch.no_grad():
        features = model(images)
        assert torch.equal(features, strict(images))
        rows = features @ head['embedding.weight'].T + head['embedding.bias']
        rows = torch.nn.functional.normalize(rows * head.get('full_embedding_mask', torch.ones(1)))
    output.append([features, rows])
`;

const apart = (a: Tensor, b: Tensor) => scope(() => a.sub(b).abs().max().item());

describeWithPyPI('the weights in timm', ['timm', 'torch', 'safetensors', 'numpy'], () => {
  it('are loaded strictly, by name and by config.json, and give the same features and embeddings', async () => {
    using images = randn([2, 3, 224, 224], { generator: new Generator(2) });
    const wanted: [name: string, features: Tensor, rows: Tensor][] = [];
    const exported: unknown[] = [];
    for (const [name, options, adapted] of families) {
      const folder = temporaryFolder();
      using trained = modelOn(name, options, adapted);
      const model = trained.model as EmbeddingModel;
      const { files } = await exportSafetensors(trained, folder);
      expect(files.map((file) => basename(file))).toEqual([
        'model.safetensors',
        'head.safetensors',
        'config.json',
      ]);
      exported.push([name, folder, model.view]);
      noGrad(() => wanted.push([name, pooledFeatures(model.backbone, images, 'avg'), model.embed(images)]));
    }
    const got = runPython<[Tensor, Tensor][]>(inTimm, { exported, images }, pypiPython);
    for (const [i, [name, features, rows]] of wanted.entries()) {
      // Two orders of summing float32 through 50 layers; which differ by the processor's vectors.
      expect(apart(features, got[i]![0]) / features.abs().max().item(), name).toBeLessThan(5e-5);
      expect(apart(rows, got[i]![1]), name).toBeLessThan(2e-5);
    }
  });
});

it('a file has all of them; the folder opens here again, as the backbone', async () => {
  const folder = temporaryFolder();
  using trained = modelOn('resnet18.tv_in1k', { head: { name: 'mlp', hidden: [4] } }, false);
  await exportSafetensors(trained, join(folder, 'all.safetensors'));
  await exportSafetensors(trained, join(folder, 'parts'));
  const { tensors, metadata } = readSafetensors(join(folder, 'all.safetensors'));
  expect(new Set(tensors.keys())).toEqual(new Set(trained.model.stateDict().keys()));
  expect(metadata['conquer.view']).toBe(JSON.stringify(trained.view));
  for (const tensor of tensors.values()) tensor.dispose();
  using again = await openModel(join(folder, 'parts'));
  expect(again.view).toEqual(trained.view);
  using images = randn([1, 3, 64, 64]);
  using wanted = noGrad(() => trained.model.features(images));
  using got = noGrad(() => again.model.features(images));
  expect(got.toNumbers()).toEqual(wanted.toNumbers());
});

it('refuses a folder where prompts have no place', async () => {
  const folder = join(temporaryFolder(), 'parts');
  const backbone = smallBackbones.vit!(new Generator(1));
  prompts.build(prompts.options.parse({ count: 3 }), { backbone } as never);
  using trained = drawn(new EmbeddingModel(backbone, { embeddingDim: 8 }));
  await expect(exportSafetensors(trained, folder)).rejects.toThrow(/^prompts have no place/);
  expect(existsSync(folder)).toBe(false);
});
