import type { InputFormat } from '../../input-format.js';
import { bilinear, clipImages, halves, imageNet, unit, weightsOf } from '../../weights/published.js';
import type { ViTShape } from './vit-shape.js';

const { timm, hub } = weightsOf<ViTShape>();

export const tiny = { width: 192, depth: 12, heads: 3 };
export const small = { width: 384, depth: 12, heads: 6 };
export const base = { width: 768, depth: 12, heads: 12 };
export const large = { width: 1024, depth: 24, heads: 16 };
const deit3 = { prefixPositions: false, layerScale: true };
const dinov2 = { layerScale: true };
const dinov2Registers = { layerScale: true, registers: 4, prefixPositions: false };
const tips = { layerScale: true, registers: 1, prefixPositions: false };
/** As transformers computes ViT. */
const transformers = { eps: 1e-12, antialias: false };
const hubDinov2 = { layerScale: true, antialias: false };

/** Bilinear to the square, as Google's files say, or bicubic. */
const square = (input: InputFormat): InputFormat => ({ ...input, cropShare: 1, squash: true });
const google = (size: number) => square(bilinear(halves(size)));

/** Vision transformers of images alone: augreg, DeiT, MAE, DINO, DINOv2, TIPSv2. */
export const vitWeights = [
  ...timm('deit_tiny_patch16_224', ['fb_in1k'], { ...tiny, patch: 16, size: 224 }, imageNet(224, 0.9)),
  ...timm('deit_small_patch16_224', ['fb_in1k'], { ...small, patch: 16, size: 224 }, imageNet(224, 0.9)),
  ...timm('deit_base_patch16_224', ['fb_in1k'], { ...base, patch: 16, size: 224 }, imageNet(224, 0.9)),
  ...timm('deit_base_patch16_384', ['fb_in1k'], { ...base, patch: 16, size: 384 }, imageNet(384, 1)),
  ...timm(
    'deit3_small_patch16_224',
    ['fb_in1k'],
    { ...small, ...deit3, patch: 16, size: 224 },
    imageNet(224, 0.9),
  ),
  ...timm(
    'deit3_small_patch16_224',
    ['fb_in22k_ft_in1k'],
    { ...small, ...deit3, patch: 16, size: 224 },
    imageNet(224, 1),
  ),
  ...timm(
    'deit3_small_patch16_384',
    ['fb_in1k', 'fb_in22k_ft_in1k'],
    { ...small, ...deit3, patch: 16, size: 384 },
    imageNet(384, 1),
  ),
  ...timm(
    'deit3_base_patch16_224',
    ['fb_in1k'],
    { ...base, ...deit3, patch: 16, size: 224 },
    imageNet(224, 0.9),
  ),
  ...timm(
    'deit3_base_patch16_224',
    ['fb_in22k_ft_in1k'],
    { ...base, ...deit3, patch: 16, size: 224 },
    imageNet(224, 1),
  ),
  ...timm(
    'deit3_base_patch16_384',
    ['fb_in1k', 'fb_in22k_ft_in1k'],
    { ...base, ...deit3, patch: 16, size: 384 },
    imageNet(384, 1),
  ),
  ...timm(
    'deit3_large_patch16_224',
    ['fb_in1k'],
    { ...large, ...deit3, patch: 16, size: 224 },
    imageNet(224, 0.9),
  ),
  ...timm(
    'deit3_large_patch16_224',
    ['fb_in22k_ft_in1k'],
    { ...large, ...deit3, patch: 16, size: 224 },
    imageNet(224, 1),
  ),
  ...timm(
    'deit3_large_patch16_384',
    ['fb_in1k', 'fb_in22k_ft_in1k'],
    { ...large, ...deit3, patch: 16, size: 384 },
    imageNet(384, 1),
  ),
  ...timm(
    'vit_tiny_patch16_224',
    ['augreg_in21k_ft_in1k', 'augreg_in21k'],
    { ...tiny, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_tiny_patch16_384',
    ['augreg_in21k_ft_in1k'],
    { ...tiny, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm('vit_small_patch8_224', ['dino'], { ...small, patch: 8, size: 224 }, imageNet(224, 0.9)),
  ...timm(
    'vit_small_patch14_dinov2',
    ['lvd142m'],
    { ...small, ...dinov2, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_small_patch14_reg4_dinov2',
    ['lvd142m'],
    { ...small, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_small_patch16_224',
    ['augreg_in21k_ft_in1k', 'augreg_in1k', 'augreg_in21k'],
    { ...small, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm('vit_small_patch16_224', ['dino'], { ...small, patch: 16, size: 224 }, imageNet(224, 0.9)),
  ...timm(
    'vit_small_patch16_384',
    ['augreg_in21k_ft_in1k', 'augreg_in1k'],
    { ...small, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_small_patch32_224',
    ['augreg_in21k_ft_in1k', 'augreg_in21k'],
    { ...small, patch: 32, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_small_patch32_384',
    ['augreg_in21k_ft_in1k'],
    { ...small, patch: 32, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_base_patch8_224',
    ['augreg2_in21k_ft_in1k', 'augreg_in21k', 'augreg_in21k_ft_in1k'],
    { ...base, patch: 8, size: 224 },
    halves(224),
  ),
  ...timm('vit_base_patch8_224', ['dino'], { ...base, patch: 8, size: 224 }, imageNet(224, 0.9)),
  ...timm(
    'vit_base_patch14_dinov2',
    ['lvd142m'],
    { ...base, ...dinov2, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_base_patch14_reg1_tipsv2',
    ['webli'],
    { ...base, ...tips, patch: 14, size: 448 },
    unit(448, 1),
  ),
  ...timm(
    'vit_base_patch14_reg4_dinov2',
    ['lvd142m'],
    { ...base, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_base_patch16_224',
    [
      'augreg2_in21k_ft_in1k',
      'augreg_in1k',
      'augreg_in21k',
      'augreg_in21k_ft_in1k',
      'orig_in21k',
      'orig_in21k_ft_in1k',
      'sam_in1k',
    ],
    { ...base, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm('vit_base_patch16_224', ['bamboo'], { ...base, patch: 16, size: 224 }, clipImages(224), 'unknown'),
  ...timm('vit_base_patch16_224', ['dino'], { ...base, patch: 16, size: 224 }, imageNet(224, 0.9)),
  ...timm(
    'vit_base_patch16_224',
    ['mae'],
    { ...base, patch: 16, size: 224 },
    imageNet(224, 0.9),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_base_patch16_224_miil',
    ['in21k', 'in21k_ft_in1k'],
    { ...base, qkvBias: false, patch: 16, size: 224 },
    bilinear(unit(224)),
  ),
  ...timm(
    'vit_base_patch16_384',
    ['augreg_in21k_ft_in1k', 'augreg_in1k', 'orig_in21k_ft_in1k'],
    { ...base, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_base_patch32_224',
    ['augreg_in21k_ft_in1k', 'augreg_in1k', 'augreg_in21k', 'orig_in21k', 'sam_in1k'],
    { ...base, patch: 32, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_base_patch32_384',
    ['augreg_in21k_ft_in1k', 'augreg_in1k'],
    { ...base, patch: 32, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_large_patch14_dinov2',
    ['lvd142m'],
    { ...large, ...dinov2, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_large_patch14_reg1_tipsv2',
    ['webli'],
    { ...large, ...tips, patch: 14, size: 448 },
    unit(448, 1),
  ),
  ...timm(
    'vit_large_patch14_reg4_dinov2',
    ['lvd142m'],
    { ...large, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(518, 1),
  ),
  ...timm(
    'vit_large_patch16_224',
    ['augreg_in21k_ft_in1k', 'augreg_in21k', 'orig_in21k'],
    { ...large, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_large_patch16_224',
    ['mae'],
    { ...large, patch: 16, size: 224 },
    imageNet(224, 0.9),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_large_patch16_384',
    ['augreg_in21k_ft_in1k'],
    { ...large, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm('vit_large_patch32_224', ['orig_in21k'], { ...large, patch: 32, size: 224 }, halves(224)),
  ...timm(
    'vit_large_patch32_384',
    ['orig_in21k_ft_in1k'],
    { ...large, patch: 32, size: 384 },
    halves(384, 1),
  ),
  ...hub(
    ['google/vit-base-patch16-224', 'google/vit-base-patch16-224-in21k'],
    { ...base, ...transformers, patch: 16, size: 224 },
    google(224),
  ),
  ...hub(
    ['google/vit-base-patch32-224-in21k'],
    { ...base, ...transformers, patch: 32, size: 224 },
    google(224),
  ),
  ...hub(['google/vit-base-patch16-384'], { ...base, ...transformers, patch: 16, size: 384 }, google(384)),
  ...hub(['google/vit-base-patch32-384'], { ...base, ...transformers, patch: 32, size: 384 }, google(384)),
  ...hub(
    ['google/vit-large-patch16-224', 'google/vit-large-patch16-224-in21k'],
    { ...large, ...transformers, patch: 16, size: 224 },
    google(224),
  ),
  ...hub(['google/vit-large-patch16-384'], { ...large, ...transformers, patch: 16, size: 384 }, google(384)),
  ...hub(
    ['facebook/deit-tiny-patch16-224'],
    { ...tiny, ...transformers, patch: 16, size: 224 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/deit-small-patch16-224'],
    { ...small, ...transformers, patch: 16, size: 224 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/deit-base-patch16-224'],
    { ...base, ...transformers, patch: 16, size: 224 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/dino-vits16'],
    { ...small, ...transformers, patch: 16, size: 224 },
    square(bilinear(imageNet(224))),
  ),
  ...hub(
    ['facebook/dino-vits8'],
    { ...small, ...transformers, patch: 8, size: 224 },
    square(bilinear(imageNet(224))),
  ),
  ...hub(
    ['facebook/dino-vitb16'],
    { ...base, ...transformers, patch: 16, size: 224 },
    square(bilinear(imageNet(224))),
  ),
  ...hub(
    ['facebook/dino-vitb8'],
    { ...base, ...transformers, patch: 8, size: 224 },
    square(bilinear(imageNet(224))),
  ),
  ...hub(['facebook/dinov2-small'], { ...small, ...hubDinov2, patch: 14, size: 518 }, imageNet(224)),
  ...hub(['facebook/dinov2-base'], { ...base, ...hubDinov2, patch: 14, size: 518 }, imageNet(224)),
  ...hub(['facebook/dinov2-large'], { ...large, ...hubDinov2, patch: 14, size: 518 }, imageNet(224)),
  ...hub(
    ['facebook/dinov2-with-registers-small'],
    { ...small, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/dinov2-with-registers-base'],
    { ...base, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/dinov2-with-registers-large'],
    { ...large, ...dinov2Registers, patch: 14, size: 518 },
    imageNet(224),
  ),
];
