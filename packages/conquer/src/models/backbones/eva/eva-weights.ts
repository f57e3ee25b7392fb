import type { InputFormat } from '../../input-format.js';
import type { RopeShape } from '../../layers/rope.js';
import { bilinear, clipImages, halves, imageNet, squashed, weightsOf } from '../../weights/published.js';
import { base, large, small, tiny } from '../vit/vit-weights.js';
import type { EvaShape } from './eva-shape.js';

const { timm, hub } = weightsOf<EvaShape>();

const pairs = (grid: number, offset: number, columnsFirst: boolean): RopeShape => ({
  kind: 'pairs',
  grid,
  offset,
  columnsFirst,
});
const dinov3 = {
  patch: 16,
  size: 256,
  eps: 1e-5,
  registers: 4,
  positions: false,
  layerScale: true,
  rope: { kind: 'halves', temperature: 100 },
  qkv: 'packed',
  mlp: 'gelu',
  pool: 'avg',
} as const;
const plus = { mlp: 'swiglu' } as const;
/** As transformers computes them: the class token is the feature, queries and values have a bias. */
const authors = { qkv: 'separate-bias', pool: 'token' } as const;
const perception = {
  qkv: 'packed-bias',
  mlp: 'gelu',
  pool: 'map',
  poolHeads: 8,
  preNorm: true,
  eps: 1e-5,
} as const;
const evaPacked = {
  qkv: 'separate-bias',
  mlp: 'swiglu-packed',
  pool: 'avg',
  normAfterPool: true,
  rope: pairs(16, 0, false),
} as const;
const evaSplit = { ...evaPacked, qkv: 'split', mlp: 'swiglu-norm' } as const;
const evaClip = { ...evaSplit, innerNorm: true, pool: 'token', normAfterPool: false } as const;

const satelliteImages = {
  mean: [0.43, 0.411, 0.296],
  std: [0.213, 0.156, 0.143],
} satisfies Partial<InputFormat>;
const satellite = (size: number, cropShare = 1): InputFormat => ({
  ...imageNet(size, cropShare),
  ...satelliteImages,
});
const square = squashed(bilinear(imageNet(224, 1)));
const license = { license: 'dinov3-license', gated: true };

/** DINOv3, EVA-02 and Perception Encoder as they were published. */
export const evaWeights = [
  ...timm(
    'vit_pe_core_tiny_patch16_384',
    ['fb'],
    { ...tiny, ...perception, rope: pairs(24, 1, true), hidden: 768, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_tiny_patch16_dinov3_qkvb',
    ['eupe_lvd1689m'],
    { ...tiny, ...dinov3, qkv: 'separate-bias', hidden: 768 },
    imageNet(256, 1),
    'fair-noncommercial-research-license',
  ),
  ...timm(
    'vit_pe_core_small_patch16_384',
    ['fb'],
    { ...small, ...perception, rope: pairs(24, 1, true), hidden: 1536, patch: 16, size: 384 },
    halves(384, 1),
  ),
  ...timm(
    'vit_small_patch16_dinov3',
    ['lvd1689m'],
    { ...small, ...dinov3, hidden: 1536 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_small_patch16_dinov3_qkvb',
    ['lvd1689m'],
    { ...small, ...dinov3, qkv: 'separate-bias', hidden: 1536 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_small_patch16_dinov3_qkvb',
    ['eupe_lvd1689m'],
    { ...small, ...dinov3, qkv: 'separate-bias', hidden: 1536 },
    imageNet(256, 1),
    'fair-noncommercial-research-license',
  ),
  ...timm(
    'vit_small_plus_patch16_dinov3',
    ['lvd1689m'],
    { ...small, ...dinov3, ...plus, hidden: 1536 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_small_plus_patch16_dinov3_qkvb',
    ['lvd1689m'],
    { ...small, ...dinov3, ...plus, qkv: 'separate-bias', hidden: 1536 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_base_patch16_dinov3',
    ['lvd1689m'],
    { ...base, ...dinov3, hidden: 3072 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_base_patch16_dinov3_qkvb',
    ['lvd1689m'],
    { ...base, ...dinov3, qkv: 'separate-bias', hidden: 3072 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_base_patch16_dinov3_qkvb',
    ['eupe_lvd1689m'],
    { ...base, ...dinov3, qkv: 'separate-bias', hidden: 3072 },
    imageNet(256, 1),
    'fair-noncommercial-research-license',
  ),
  ...timm(
    'vit_pe_core_base_patch16_224',
    ['fb'],
    { ...base, ...perception, rope: pairs(14, 1, true), hidden: 3072, patch: 16, size: 224 },
    halves(224, 1),
  ),
  ...timm(
    'vit_large_patch16_dinov3',
    ['lvd1689m'],
    { ...large, ...dinov3, hidden: 4096 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_large_patch16_dinov3',
    ['sat493m'],
    { ...large, ...dinov3, hidden: 4096 },
    satellite(256),
    'dinov3-license',
  ),
  ...timm(
    'vit_large_patch16_dinov3_qkvb',
    ['lvd1689m'],
    { ...large, ...dinov3, qkv: 'separate-bias', hidden: 4096 },
    imageNet(256, 1),
    'dinov3-license',
  ),
  ...timm(
    'vit_large_patch16_dinov3_qkvb',
    ['sat493m'],
    { ...large, ...dinov3, qkv: 'separate-bias', hidden: 4096 },
    satellite(256),
    'dinov3-license',
  ),
  ...timm(
    'eva02_tiny_patch14_224',
    ['mim_in22k'],
    { ...tiny, ...evaPacked, hidden: 512, patch: 14, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_tiny_patch14_336',
    ['mim_in22k_ft_in1k'],
    { ...tiny, ...evaPacked, hidden: 512, patch: 14, size: 336 },
    clipImages(336),
    'mit',
  ),
  ...timm(
    'eva02_small_patch14_224',
    ['mim_in22k'],
    { ...small, ...evaPacked, hidden: 1024, patch: 14, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_small_patch14_336',
    ['mim_in22k_ft_in1k'],
    { ...small, ...evaPacked, hidden: 1024, patch: 14, size: 336 },
    clipImages(336),
    'mit',
  ),
  ...timm(
    'eva02_base_patch14_224',
    ['mim_in22k'],
    { ...base, ...evaSplit, hidden: 2048, patch: 14, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_base_patch14_448',
    ['mim_in22k_ft_in22k_in1k', 'mim_in22k_ft_in22k'],
    { ...base, ...evaSplit, hidden: 2048, patch: 14, size: 448 },
    squashed(clipImages(448)),
    'mit',
  ),
  ...timm(
    'eva02_base_patch14_448',
    ['mim_in22k_ft_in1k'],
    { ...base, ...evaSplit, hidden: 2048, patch: 14, size: 448 },
    clipImages(448),
    'mit',
  ),
  ...timm(
    'eva02_base_patch16_clip_224',
    ['merged2b'],
    { ...base, ...evaClip, hidden: 2048, patch: 16, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_large_patch14_224',
    ['mim_in22k', 'mim_m38m'],
    { ...large, ...evaSplit, hidden: 2730, patch: 14, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_large_patch14_448',
    ['mim_in22k_ft_in22k_in1k', 'mim_in22k_ft_in22k', 'mim_m38m_ft_in22k', 'mim_m38m_ft_in22k_in1k'],
    { ...large, ...evaSplit, hidden: 2730, patch: 14, size: 448 },
    squashed(clipImages(448)),
    'mit',
  ),
  ...timm(
    'eva02_large_patch14_448',
    ['mim_in22k_ft_in1k', 'mim_m38m_ft_in1k'],
    { ...large, ...evaSplit, hidden: 2730, patch: 14, size: 448 },
    clipImages(448),
    'mit',
  ),
  ...timm(
    'eva02_large_patch14_clip_224',
    ['merged2b'],
    { ...large, ...evaClip, hidden: 2730, patch: 14, size: 224 },
    clipImages(224, 0.9),
    'mit',
  ),
  ...timm(
    'eva02_large_patch14_clip_336',
    ['merged2b'],
    { ...large, ...evaClip, hidden: 2730, patch: 14, size: 336 },
    clipImages(336),
    'mit',
  ),
  ...hub(
    ['facebook/dinov3-vits16-pretrain-lvd1689m'],
    { ...small, ...dinov3, ...authors, hidden: 1536 },
    square,
    license,
  ),
  ...hub(
    ['facebook/dinov3-vits16plus-pretrain-lvd1689m'],
    { ...small, ...dinov3, ...plus, ...authors, hidden: 1536 },
    square,
    license,
  ),
  ...hub(
    ['facebook/dinov3-vitb16-pretrain-lvd1689m'],
    { ...base, ...dinov3, ...authors, hidden: 3072 },
    square,
    license,
  ),
  ...hub(
    ['facebook/dinov3-vitl16-pretrain-lvd1689m'],
    { ...large, ...dinov3, ...authors, hidden: 4096 },
    square,
    license,
  ),
  ...hub(
    ['facebook/dinov3-vitl16-pretrain-sat493m'],
    { ...large, ...dinov3, ...authors, hidden: 4096 },
    { ...square, ...satelliteImages },
    license,
  ),
];
