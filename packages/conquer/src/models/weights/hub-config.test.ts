import { UserError } from '@conquer-dml/run';
import { expect, it } from 'vitest';
import { ViT } from '../backbones/vit/vit.js';
import { preprocessingFor } from '../preprocessing.js';
import { backboneOfConfig, inputOfPreprocessor } from './hub-config.js';

const means = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const preprocessing = { ...means, size: 32 };
const small = {
  ...{ hidden_size: 12, num_hidden_layers: 1, num_attention_heads: 3, intermediate_size: 24 },
  ...{ image_size: 32, patch_size: 8 },
};

it("takes the images' half of a network of images and texts, with what its class has by itself", () => {
  const config = { model_type: 'clip', vision_config: small, text_config: {} };
  using clip = backboneOfConfig(config, preprocessing, { device: 'meta' }) as ViT;
  expect(clip).toBeInstanceOf(ViT);
  expect(clip.shape).toMatchObject({ activation: 'quick-gelu', preNorm: true, antialias: false, eps: 1e-5 });
  using siglip = backboneOfConfig({ model_type: 'siglip', vision_config: small }, preprocessing, {
    device: 'meta',
  }) as ViT;
  expect(siglip.shape).toMatchObject({ activation: 'gelu-tanh', pool: 'map', classToken: false });
  // As wide as the blocks' own, which need not be four times the width (so400m's are not).
  expect(siglip.attnPool?.mlp.fc1.weight.shape).toEqual([24, 12]);
});

it("takes timm's architecture and tag", () => {
  const config = { architecture: 'vit_tiny_patch16_224', pretrained_cfg: { tag: 'augreg_in21k' } };
  using backbone = backboneOfConfig(config, undefined, { device: 'meta' });
  expect(backbone.name).toBe('vit_tiny_patch16_224.augreg_in21k');
});

it('refuses what it does not know, by the name of the file and the field', () => {
  const wrong: [config: unknown, preprocessor: unknown, message: string][] = [
    [{ model_type: 'beit', ...small }, preprocessing, "got 'beit'"],
    [{ model_type: 'vit', ...small, hidden_act: 'mish' }, preprocessing, 'config.json: hidden_act'],
    [{ model_type: 'dinov2', ...small, use_swiglu_ffn: true }, preprocessing, 'config.json: use_swiglu_ffn'],
    [
      { model_type: 'vit', ...small },
      { ...preprocessing, resample: 5 },
      'preprocessor_config.json: resample',
    ],
    [{ architecture: 'vit_giant_patch14_dinov2' }, undefined, "got 'vit_giant_patch14_dinov2'"],
    [
      { model_type: 'dinov3_vit', ...small, use_gated_mlp: true },
      preprocessing,
      'hidden_act: expected gelu, or silu',
    ],
    [null, preprocessing, 'config.json: '],
  ];
  for (const [config, preprocessor, message] of wrong) {
    const open = () => backboneOfConfig(config, preprocessor, { device: 'meta' });
    expect(open).toThrow(UserError);
    expect(open).toThrow(message);
  }
});

it('reads how images come: the short side and a crop of it, a square, or a share of the side', () => {
  const seen = (given: object) => {
    const {
      size,
      resize,
      squash = false,
      input,
    } = preprocessingFor(inputOfPreprocessor({ ...means, ...given }));
    return [size, resize, squash, input.interpolation];
  };
  const cut = { size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 }, resample: 3 };
  expect(seen(cut)).toEqual([224, 256, false, 'bicubic']);
  expect(seen({ size: { height: 224, width: 224 }, resample: 2 })).toEqual([224, 224, true, 'bilinear']);
  expect(seen({ size: { shortest_edge: 224 }, crop_pct: 0.875 })).toEqual([224, 256, false, 'bicubic']);
  expect(seen({ size: { shortest_edge: 384 }, crop_pct: 0.875 })).toEqual([384, 384, true, 'bicubic']);
});
