import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  Generator,
  liveTensors,
  nn,
  noGrad,
  randn,
  scope,
  type Tensor,
  writeSafetensors,
  zeros,
} from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { resamplePositions } from '../../layers/position-table.js';
import { inputOfPreprocessor } from '../../weights/hub-config.js';
import { loadWeights } from '../../weights/weights.js';
import { ViT, vit } from './vit.js';
import type { ViTShape } from './vit-shape.js';

const tiny: ViTShape = { patch: 8, size: 32, width: 12, depth: 2, heads: 3 };
const input = inputOfPreprocessor({ image_mean: [0, 0, 0], image_std: [1, 1, 1], size: 32 });
const build = (shape: Partial<ViTShape> = {}, seed = 1) =>
  new ViT('tiny', { ...tiny, ...shape }, input, { generator: new Generator(seed) });

/** What transformers' ViT calls the tensors of one of depth 2, as a file of it holds them. */
function transformersFile(source: ViT, { without = '', prefix = '' } = {}): string {
  const file = join(temporaryFolder(), 'model.safetensors');
  scope(() => {
    const stored = new Map<string, Tensor>();
    const add = (name: string, value: Tensor) => {
      if (name !== without) stored.set(prefix + name, value.contiguous());
    };
    for (const [name, value] of source.stateDict()) {
      const block = name.replace(/^blocks\.(\d+)\./, 'encoder.layer.$1.');
      if (name.includes('.qkv.')) {
        for (const [i, part] of ['query', 'key', 'value'].entries()) {
          add(block.replace('attn.qkv', `attention.attention.${part}`), value.narrow(0, 12 * i, 12));
        }
      } else {
        add(
          block
            .replace('attn.proj', 'attention.output.dense')
            .replace('norm1', 'layernorm_before')
            .replace('norm2', 'layernorm_after')
            .replace('mlp.fc1', 'intermediate.dense')
            .replace('mlp.fc2', 'output.dense')
            .replace(/^norm\./, 'layernorm.')
            .replace(/^pos_embed/, 'embeddings.position_embeddings')
            .replace(/^cls_token/, 'embeddings.cls_token')
            .replace(/^patch_embed\.proj/, 'embeddings.patch_embeddings.projection'),
          value,
        );
      }
    }
    add('pooler.dense.weight', zeros([12, 12]));
    writeSafetensors(file, stored);
  });
  return file;
}

const sums = (network: ViT) => network.parameters().map((parameter) => parameter.sum().item());

it('frees what a forward pass makes, and gives a vector an image', () => {
  for (const pool of ['token', 'avg', 'map'] as const) {
    using network = build({ pool, registers: 2, layerScale: true });
    using images = randn([2, 3, 40, 32], { generator: new Generator(2) });
    const before = liveTensors();
    for (const run of [() => network.features(images), () => noGrad(() => network.features(images))]) {
      using features = run();
      expect(features.shape).toEqual([2, 12]);
      expect(liveTensors()).toBe(before + 1);
    }
  }
});

it('every parameter takes a gradient, those that are resampled too', () => {
  using network = build({ pool: 'map', registers: 1, prefixPositions: false });
  scope(() => {
    network
      .features(randn([1, 3, 48, 32], { generator: new Generator(2) }))
      .sum()
      .backward();
    for (const [name, parameter] of network.namedParameters()) {
      // The class token is none of the patches that are pooled, but they look at it.
      expect(parameter.grad?.abs().sum().item(), name).toBeGreaterThan(0);
    }
  });
});

it('takes images of whole patches, and says which are nearest', () => {
  using network = build();
  expect(() => network.requireImages([1, 3, 30, 32])).toThrow('24 or 32 pixels, the nearest that it takes');
});

it("loads files with transformers' names, in pieces and behind a prefix", () => {
  using source = build({}, 1);
  using target = build({}, 2);
  const notes: string[] = [];
  loadWeights(target, transformersFile(source, { prefix: 'vit.' }), { onNote: (text) => notes.push(text) });
  expect(sums(target)).toEqual(sums(source));
  expect(notes.join()).toContain("took 30 tensors of transformers' ViT names");
  expect(notes.join()).toContain('left out vit.pooler.dense.weight: no part of the network');
});

it('loads nothing of a file that lacks a piece', () => {
  using source = build({}, 1);
  using target = build({}, 2);
  const before = sums(target);
  const without = 'encoder.layer.1.attention.attention.key.bias';
  expect(() => loadWeights(target, transformersFile(source, { without }))).toThrow(
    /do not fit tiny.*missing 1 \(blocks\.1\.attn\.qkv\.bias\)/,
  );
  expect(sums(target)).toEqual(before);
});

it('resamples positions as the family does: PyTorch 2.13 gives 0.8672 with antialiasing where 0.8789 stands without', () => {
  scope(() => {
    // The nearest of twice as many places lies a quarter of a place away.
    const table = zeros([1, 2 + 14 * 14, 1], { dtype: 'float64' });
    table.narrow(1, 2 + 7 * 14 + 7, 1).fill_(1);
    const kept = new nn.Derived<Tensor>();
    const largest = (antialias: boolean) =>
      resamplePositions(table, { prefix: 2, from: [14, 14], to: [28, 28], antialias }, kept)
        .max()
        .item() ** 0.5;
    expect(largest(true)).toBeCloseTo(0.8672, 4);
    expect(largest(false)).toBeCloseTo(0.8789, 4);
    const same = resamplePositions(table, { prefix: 2, from: [14, 14], to: [14, 14], antialias: true }, kept);
    expect(same).toBe(table);
  });
});

it('says its names, each once, with what they are', () => {
  const { published = [] } = vit;
  for (const { name, shape, input, license, repository } of published) {
    const { patch, size } = shape as ViTShape;
    expect(size % patch, name).toBe(0);
    expect(input.size % patch, name).toBe(0);
    expect(license, name).not.toBe('');
    expect(repository.endsWith(name.replace('_quickgelu', '')), name).toBe(true);
  }
  const quick = published.filter(({ shape }) => (shape as ViTShape).activation === 'quick-gelu');
  const openai = quick.find(({ name }) => name === 'vit_base_patch16_clip_224.openai');
  expect(openai?.note).toMatch(/quick GELU, which is taken/);
  expect(
    quick.find(({ name }) => name === 'vit_base_patch16_clip_quickgelu_224.openai')?.note,
  ).toBeUndefined();
});
