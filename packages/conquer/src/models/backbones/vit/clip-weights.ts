import { clipImages, halves, squashed, weightsOf } from '../../weights/published.js';
import type { ViTShape } from './vit-shape.js';
import { base, large } from './vit-weights.js';

const { timm, hub } = weightsOf<ViTShape>();

const clip = { preNorm: true, eps: 1e-5 };
/** Weights that were trained with the quick GELU, under whatever name: timm has them under two, of which one takes the other GELU. */
const quickClip = { preNorm: true, eps: 1e-5, activation: 'quick-gelu' as const };

const QUICK =
  'its weights were trained with the quick GELU, which is taken; timm takes the other one under this name, and this one under quickgelu';

const published = [
  ...timm(
    'vit_base_patch16_clip_224',
    ['laion2b_ft_in12k_in1k', 'openai_ft_in12k_in1k'],
    { ...base, ...clip, patch: 16, size: 224 },
    clipImages(224, 0.95),
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['datacompxl', 'laion2b', 'laion2b_ft_in1k'],
    { ...base, ...clip, patch: 16, size: 224 },
    clipImages(224),
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['dfn2b'],
    { ...base, ...clip, patch: 16, size: 224 },
    clipImages(224),
    'apple-ascl',
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['laion2b_ft_in12k', 'openai_ft_in1k', 'openai_ft_in12k'],
    { ...base, ...clip, patch: 16, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['openai'],
    { ...base, ...quickClip, patch: 16, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['laion400m_e32'],
    { ...base, ...clip, patch: 16, size: 224 },
    clipImages(224),
    'mit',
  ),
  ...timm(
    'vit_base_patch16_clip_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...base, ...quickClip, patch: 16, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_base_patch16_clip_384',
    ['laion2b_ft_in12k_in1k', 'laion2b_ft_in1k', 'openai_ft_in1k'],
    { ...base, ...clip, patch: 16, size: 384 },
    squashed(clipImages(384)),
  ),
  ...timm(
    'vit_base_patch16_clip_384',
    ['openai_ft_in12k_in1k'],
    { ...base, ...clip, patch: 16, size: 384 },
    squashed(clipImages(384, 0.95)),
  ),
  ...timm(
    'vit_base_patch16_clip_quickgelu_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...base, ...quickClip, patch: 16, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_base_patch16_clip_quickgelu_224',
    ['openai'],
    { ...base, ...quickClip, patch: 16, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_base_patch16_plus_clip_240',
    ['laion400m_e32'],
    { ...base, ...clip, width: 896, heads: 14, patch: 16, size: 240 },
    clipImages(240),
    'mit',
  ),
  ...timm(
    'vit_base_patch32_clip_224',
    ['laion2b_ft_in12k_in1k', 'laion2b', 'laion2b_ft_in1k', 'openai_ft_in1k'],
    { ...base, ...clip, patch: 32, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_base_patch32_clip_224',
    ['openai'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_base_patch32_clip_224',
    ['datacompxl'],
    { ...base, ...clip, patch: 32, size: 224 },
    clipImages(224),
  ),
  ...timm(
    'vit_base_patch32_clip_224',
    ['laion400m_e32'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'vit_base_patch32_clip_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_base_patch32_clip_256',
    ['datacompxl'],
    { ...base, ...clip, patch: 32, size: 256 },
    clipImages(256),
  ),
  ...timm(
    'vit_base_patch32_clip_384',
    ['laion2b_ft_in12k_in1k'],
    { ...base, ...clip, patch: 32, size: 384 },
    clipImages(384),
  ),
  ...timm(
    'vit_base_patch32_clip_384',
    ['openai_ft_in12k_in1k'],
    { ...base, ...clip, patch: 32, size: 384 },
    squashed(clipImages(384, 0.95)),
  ),
  ...timm(
    'vit_base_patch32_clip_448',
    ['laion2b_ft_in12k_in1k'],
    { ...base, ...clip, patch: 32, size: 448 },
    clipImages(448),
  ),
  ...timm(
    'vit_base_patch32_clip_quickgelu_224',
    ['laion400m_e32'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'vit_base_patch32_clip_quickgelu_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_base_patch32_clip_quickgelu_224',
    ['openai'],
    { ...base, ...quickClip, patch: 32, size: 224 },
    clipImages(224, 0.9),
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['laion2b_ft_in12k_in1k', 'laion2b', 'laion2b_ft_in1k', 'laion2b_ft_in12k'],
    { ...large, ...clip, patch: 14, size: 224 },
    halves(224, 1),
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['apple_mclip2_dfndr2b'],
    { ...large, ...clip, patch: 14, size: 224 },
    clipImages(224),
    'apple-amlr',
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['datacompxl', 'openai_ft_in1k', 'openai_ft_in12k', 'openai_ft_in12k_in1k'],
    { ...large, ...clip, patch: 14, size: 224 },
    clipImages(224),
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['openai'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['dfn2b'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
    'apple-ascl',
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['dfn2b_s39b'],
    { ...large, ...clip, patch: 14, size: 224 },
    clipImages(224),
    'apple-ascl',
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['laion400m_e32'],
    { ...large, ...clip, patch: 14, size: 224 },
    clipImages(224),
    'mit',
  ),
  ...timm(
    'vit_large_patch14_clip_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_large_patch14_clip_336',
    ['laion2b_ft_in12k_in1k', 'laion2b_ft_in1k'],
    { ...large, ...clip, patch: 14, size: 336 },
    squashed(halves(336, 1)),
  ),
  ...timm(
    'vit_large_patch14_clip_336',
    ['openai'],
    { ...large, ...quickClip, patch: 14, size: 336 },
    clipImages(336),
  ),
  ...timm(
    'vit_large_patch14_clip_336',
    ['openai_ft_in12k_in1k'],
    { ...large, ...clip, patch: 14, size: 336 },
    squashed(clipImages(336)),
  ),
  ...timm(
    'vit_large_patch14_clip_quickgelu_224',
    ['dfn2b'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
    'apple-ascl',
  ),
  ...timm(
    'vit_large_patch14_clip_quickgelu_224',
    ['metaclip_2pt5b', 'metaclip_400m'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'vit_large_patch14_clip_quickgelu_224',
    ['openai'],
    { ...large, ...quickClip, patch: 14, size: 224 },
    clipImages(224),
  ),
  ...timm(
    'vit_large_patch14_clip_quickgelu_336',
    ['openai'],
    { ...large, ...quickClip, patch: 14, size: 336 },
    clipImages(336),
  ),
  ...hub(
    ['openai/clip-vit-base-patch32'],
    { ...base, ...quickClip, antialias: false, patch: 32, size: 224 },
    clipImages(224),
    { license: 'mit' },
  ),
  ...hub(
    ['openai/clip-vit-base-patch16'],
    { ...base, ...quickClip, antialias: false, patch: 16, size: 224 },
    clipImages(224),
    { license: 'mit' },
  ),
  ...hub(
    ['openai/clip-vit-large-patch14'],
    { ...large, ...quickClip, antialias: false, patch: 14, size: 224 },
    clipImages(224),
    { license: 'mit' },
  ),
  ...hub(
    ['openai/clip-vit-large-patch14-336'],
    { ...large, ...quickClip, antialias: false, patch: 14, size: 336 },
    clipImages(336),
    { license: 'mit' },
  ),
  ...hub(
    ['laion/CLIP-ViT-B-32-laion2B-s34B-b79K'],
    { ...base, ...clip, antialias: false, patch: 32, size: 224 },
    clipImages(224),
    { license: 'mit' },
  ),
  ...hub(
    ['laion/CLIP-ViT-B-16-laion2B-s34B-b88K'],
    { ...base, ...clip, antialias: false, patch: 16, size: 224 },
    clipImages(224),
    { license: 'mit' },
  ),
  ...hub(
    ['laion/CLIP-ViT-L-14-laion2B-s32B-b82K'],
    { ...large, ...clip, antialias: false, patch: 14, size: 224 },
    halves(224, 1),
    { license: 'mit' },
  ),
];

/** The images' half of CLIP networks. */
export const clipWeights = published.map((each) =>
  each.shape.activation === 'quick-gelu' && each.name.startsWith('vit_') && !each.name.includes('quickgelu')
    ? { ...each, note: QUICK }
    : each,
);
