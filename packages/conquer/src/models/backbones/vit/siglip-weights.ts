import { halves, squashed, weightsOf } from '../../weights/published.js';
import type { ViTShape } from './vit-shape.js';
import { base, large } from './vit-weights.js';

const { timm, hub } = weightsOf<ViTShape>();

const siglip = { classToken: false, pool: 'map' as const };
const siglipAverage = { classToken: false, pool: 'avg' as const };
/** As transformers computes them. */
const hubSiglip = { ...siglip, activation: 'gelu-tanh' as const, antialias: false };
const square = (size: number) => squashed(halves(size, 1));

/** The images' half of SigLIP and SigLIP 2. */
export const siglipWeights = [
  ...timm(
    'vit_base_patch16_siglip_224',
    ['v2_webli', 'webli'],
    { ...base, ...siglip, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_base_patch16_siglip_256',
    ['v2_webli', 'webli', 'webli_i18n'],
    { ...base, ...siglip, patch: 16, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_base_patch16_siglip_384',
    ['v2_webli', 'webli'],
    { ...base, ...siglip, patch: 16, size: 384 },
    halves(384),
  ),
  ...timm(
    'vit_base_patch16_siglip_512',
    ['v2_webli', 'webli'],
    { ...base, ...siglip, patch: 16, size: 512 },
    halves(512),
  ),
  ...timm(
    'vit_base_patch16_siglip_gap_224',
    ['v2_webli', 'webli'],
    { ...base, ...siglipAverage, patch: 16, size: 224 },
    halves(224),
  ),
  ...timm(
    'vit_base_patch16_siglip_gap_256',
    ['v2_webli', 'webli', 'webli_i18n'],
    { ...base, ...siglipAverage, patch: 16, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_base_patch16_siglip_gap_384',
    ['v2_webli', 'webli'],
    { ...base, ...siglipAverage, patch: 16, size: 384 },
    halves(384),
  ),
  ...timm(
    'vit_base_patch16_siglip_gap_512',
    ['v2_webli', 'webli'],
    { ...base, ...siglipAverage, patch: 16, size: 512 },
    halves(512),
  ),
  ...timm(
    'vit_base_patch32_siglip_256',
    ['v2_webli'],
    { ...base, ...siglip, activation: 'gelu-tanh', patch: 32, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_base_patch32_siglip_gap_256',
    ['v2_webli'],
    { ...base, ...siglipAverage, activation: 'gelu-tanh', patch: 32, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_large_patch16_siglip_256',
    ['v2_webli', 'webli'],
    { ...large, ...siglip, patch: 16, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_large_patch16_siglip_384',
    ['v2_webli', 'webli'],
    { ...large, ...siglip, patch: 16, size: 384 },
    halves(384),
  ),
  ...timm(
    'vit_large_patch16_siglip_512',
    ['v2_webli'],
    { ...large, ...siglip, activation: 'gelu-tanh', patch: 16, size: 512 },
    halves(512),
  ),
  ...timm(
    'vit_large_patch16_siglip_gap_256',
    ['v2_webli', 'webli'],
    { ...large, ...siglipAverage, patch: 16, size: 256 },
    halves(256),
  ),
  ...timm(
    'vit_large_patch16_siglip_gap_384',
    ['v2_webli', 'webli'],
    { ...large, ...siglipAverage, patch: 16, size: 384 },
    halves(384),
  ),
  ...timm(
    'vit_large_patch16_siglip_gap_512',
    ['v2_webli'],
    { ...large, ...siglipAverage, activation: 'gelu-tanh', patch: 16, size: 512 },
    halves(512),
  ),
  ...hub(
    ['google/siglip-base-patch16-224', 'google/siglip2-base-patch16-224'],
    { ...base, ...hubSiglip, patch: 16, size: 224 },
    square(224),
  ),
  ...hub(
    ['google/siglip-base-patch16-256', 'google/siglip2-base-patch16-256'],
    { ...base, ...hubSiglip, patch: 16, size: 256 },
    square(256),
  ),
  ...hub(
    ['google/siglip-base-patch16-384', 'google/siglip2-base-patch16-384'],
    { ...base, ...hubSiglip, patch: 16, size: 384 },
    square(384),
  ),
  ...hub(
    ['google/siglip-base-patch16-512', 'google/siglip2-base-patch16-512'],
    { ...base, ...hubSiglip, patch: 16, size: 512 },
    square(512),
  ),
  ...hub(['google/siglip2-base-patch32-256'], { ...base, ...hubSiglip, patch: 32, size: 256 }, square(256)),
  ...hub(
    ['google/siglip-large-patch16-256', 'google/siglip2-large-patch16-256'],
    { ...large, ...hubSiglip, patch: 16, size: 256 },
    square(256),
  ),
  ...hub(
    ['google/siglip-large-patch16-384', 'google/siglip2-large-patch16-384'],
    { ...large, ...hubSiglip, patch: 16, size: 384 },
    square(384),
  ),
  ...hub(['google/siglip2-large-patch16-512'], { ...large, ...hubSiglip, patch: 16, size: 512 }, square(512)),
];
