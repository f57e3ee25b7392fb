import { join } from 'node:path';
import { ImageFiles } from '@conquer-dml/image';
import { describeWithPyPI, pypiPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, noGrad, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { plainBatches } from '../../data/plain-batches.js';
import { Random } from '../../random.js';
import { createBackbone } from '../create-model.js';
import { pooledFeatures } from '../layers/pooled-features.js';
import { preprocessingFor } from '../preprocessing.js';
import { builtInWeights } from '../weights/built-in.js';
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
    for (const [i, want] of wanted.entries()) {
      const got = rows[i] as number[];
      const dot = want.reduce((sum, value, at) => sum + value * (got[at] as number), 0);
      const cosine = dot / Math.hypot(...want) / Math.hypot(...got);
      // The pixels are the same, to the byte.
      expect(1 - cosine, paths[i]).toBeLessThan(1e-9);
    }
  });
});
