import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ImageFiles } from '@conquer-dml/image';
import { describeWithPyPI, pypiPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, noGrad, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import sharp from 'sharp';
import { expect, it, vi } from 'vitest';
import { plainBatches } from '../../data/plain-batches.js';
import { Random } from '../../random.js';
import { openModel } from '../../retrieve/open-model.js';
import { train } from '../../train/train.js';
import { createBackbone } from '../create-model.js';
import { pooledFeatures } from '../layers/pooled-features.js';
import { preprocessingFor } from '../preprocessing.js';
import { builtInWeights } from '../weights/built-in.js';
import { listModels } from '../weights/list-models.js';
import { loadWeights } from '../weights/weights.js';
import type { Backbone } from './backbone.js';

/** Waves, edges and noise: compresses like a photograph. */
async function photograph(file: string, width: number, height: number, seed: number): Promise<string> {
  const random = new Random(seed);
  const pixels = new Uint8Array(width * height * 3);
  for (const at of pixels.keys()) {
    const [x, y] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    const wave = 128 + 70 * Math.sin(x / (9 + 5 * (at % 3)) + seed) * Math.cos(y / (11 + seed));
    const edge = 40 * (Math.floor((x + 20 * (at % 3)) / 40) % 2);
    pixels[at] = Math.max(0, Math.min(255, wave + edge + random.uniform(-4, 4)));
  }
  await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(file);
  return file;
}

describeWithPyPI('from a file to the vector as timm', ['timm', 'torch', 'torchvision', 'PIL'], () => {
  const networks: [name: string, weights: (backbone: Backbone, file: string) => void][] = [
    [
      'tf_efficientnet_lite0.in1k',
      (backbone, file) => {
        loadWeights(backbone, builtInWeights());
        scope(() => writeSafetensors(file, backbone.stateDict()));
      },
    ],
    [
      'vit_tiny_patch16_224.augreg_in21k_ft_in1k',
      (backbone, file) => scope(() => writeSafetensors(file, backbone.stateDict())),
    ],
    ['resnet18.tv_in1k', (backbone, file) => scope(() => writeSafetensors(file, backbone.stateDict()))],
  ];
  it.each(networks)('%s: decoded, resized, cut out, normalised, embedded', async (name, write) => {
    const folder = temporaryFolder();
    const file = join(folder, 'weights.safetensors');
    using backbone = createBackbone(name as 'resnet18.tv_in1k', { generator: new Generator(1) });
    write(backbone, file);
    backbone.eval();
    const paths = await Promise.all([
      photograph(join(folder, '1.jpg'), 640, 427, 1),
      photograph(join(folder, '2.jpg'), 300, 401, 2),
      photograph(join(folder, '3.png'), 97, 261, 3),
      photograph(join(folder, '4.webp'), 1200, 900, 4),
    ]);
    const rows: number[][] = [];
    const view = preprocessingFor(backbone.input);
    for await (const batch of plainBatches(new ImageFiles(paths), view)) {
      const got = noGrad(() => pooledFeatures(backbone, batch.images, 'avg'));
      rows.push(...(got.tolist() as number[][]));
      got.dispose();
    }
    const expected = runPython<{ vectors: Tensor }>(
      `
        import timm, torch
        from PIL import Image
        from safetensors.torch import load_file
        from timm.data import create_transform, resolve_data_config
        model = timm.create_model(input['name'], num_classes=0).eval()
        model.load_state_dict(load_file(input['weights']), strict=True)
        transform = create_transform(**resolve_data_config(model=model))
        with torch.no_grad():
            output = {'vectors': torch.cat([model(transform(Image.open(p).convert('RGB'))[None]) for p in input['paths']])}
      `,
      { name, weights: file, paths },
      pypiPython,
    );
    const wanted = expected.vectors.tolist() as number[][];
    // The pixels are the same, to the byte.
    for (const [i, want] of wanted.entries())
      expect(1 - cosine(want, rows[i] as number[]), paths[i]).toBeLessThan(1e-9);
  });

  it('has repository, licence and what is seen of each name as timm', () => {
    const listed = listModels().filter(({ name }) => !name.includes('/'));
    const known = runPython<[string, string | null, number, string][]>(
      `
        from timm.models import get_pretrained_cfg
        output = []
        for name in input['names']:
            cfg = get_pretrained_cfg(name)
            hub = cfg.hf_hub_id or ''
            output.append([hub + name if hub.endswith('/') else hub, cfg.license, cfg.crop_pct, cfg.interpolation])
      `,
      { names: listed.map(({ name }) => name) },
      pypiPython,
    );
    expect(listed.length).toBeGreaterThan(300);
    for (const [i, { name, repository, license, licenseChecked, input }] of listed.entries()) {
      const { cropShare = 0.875, interpolation = 'bilinear' } = input;
      expect([repository, license, cropShare, interpolation], name).toEqual([
        known[i]![0],
        known[i]![1] ?? 'unknown',
        ...known[i]!.slice(2),
      ]);
      expect(licenseChecked, name).toBe(true);
    }
  });

  // The short side is resized to 248 of its tag, not to 256, or to 256.
  it.each([
    ['vit_tiny_patch16_224.augreg_in21k_ft_in1k', 248, false],
    ['vit_tiny_patch16_224.augreg_in21k_ft_in1k', 248, true],
    ['tf_efficientnet_lite0.in1k', 256, false],
  ])('%s: trained, opened and embedded from files, cache %s %s', async (name, resize, cache) => {
    const folder = temporaryFolder();
    vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
    const paths = await Promise.all(
      [0, 1, 2, 3, 4, 5, 6, 7].map(async (i) => {
        mkdirSync(join(folder, 'photos', `${i % 4}`), { recursive: true });
        return await photograph(join(folder, 'photos', `${i % 4}`, `${i}.jpg`), 331 + 40 * i, 290, i);
      }),
    );
    const run = join(folder, 'run');
    await train(
      {
        data: {
          ...{
            dataset: { name: 'folder', folder: join(folder, 'photos') },
            batchSize: 4,
            samplesPerClass: 2,
          },
          cache,
        },
        model: { backbone: { name: name as 'resnet18.tv_in1k' }, embeddingDim: 16 },
        divide: { numLearners: 1 },
        train: { epochs: 1 },
      },
      { run },
    );
    using model = await openModel(run);
    expect(model.view?.resize).toBe(resize);
    const rows = await model.embed(paths);
    const expected = runPython<{ vectors: Tensor }>(
      `
        import timm, torch
        from PIL import Image
        from safetensors.torch import load_file
        from timm.data import create_transform, resolve_data_config
        model = timm.create_model(input['name'], num_classes=0).eval()
        weights = {name.removeprefix('model.'): value for name, value in load_file(input['weights']).items()}
        model.load_state_dict({name: weights[name] for name in model.state_dict()}, strict=True)
        transform = create_transform(**resolve_data_config(model=model))
        with torch.no_grad():
            features = torch.cat([model(transform(Image.open(p).convert('RGB'))[None]) for p in input['paths']])
            vectors = features @ weights['embedding.weight'].T + weights['embedding.bias']
            output = {'vectors': torch.nn.functional.normalize(vectors)}
      `,
      { name, weights: join(run, 'checkpoints', 'best.safetensors'), paths },
      pypiPython,
    );
    for (const [i, want] of (expected.vectors.tolist() as number[][]).entries())
      expect(1 - cosine(want, [...rows.subarray(16 * i, 16 * (i + 1))]), paths[i]).toBeLessThan(1e-6);
    vi.unstubAllEnvs();
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
  return dot / Math.hypot(...a) / Math.hypot(...b);
}
