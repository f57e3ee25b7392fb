import { bilinear, clipImages, imageNet, squashed, weightsOf } from '../../weights/published.js';
import type { ConvNeXtShape } from './convnext-shape.js';

const { timm, hub } = weightsOf<ConvNeXtShape>();

const atto = { depths: [2, 2, 6, 2], dims: [40, 80, 160, 320] };
const femto = { depths: [2, 2, 6, 2], dims: [48, 96, 192, 384] };
const pico = { depths: [2, 2, 6, 2], dims: [64, 128, 256, 512] };
const nano = { depths: [2, 2, 8, 2], dims: [80, 160, 320, 640] };
const tiny = { depths: [3, 3, 9, 3], dims: [96, 192, 384, 768] };
const small = { depths: [3, 3, 27, 3], dims: [96, 192, 384, 768] };
const base = { depths: [3, 3, 27, 3], dims: [128, 256, 512, 1024] };
const large = { depths: [3, 3, 27, 3], dims: [192, 384, 768, 1536] };
const dinov3 = { license: 'dinov3-license', gated: true };
const nonCommercial = { license: 'cc-by-nc-4.0' };

/** ConvNeXt and ConvNeXt V2 as they were published. */
export const convnextWeights = [
  ...timm('convnext_atto', ['d2_in1k'], { ...atto, convMlp: true }, imageNet(224)),
  ...timm('convnext_femto', ['d1_in1k'], { ...femto, convMlp: true }, imageNet(224)),
  ...timm('convnext_pico', ['d1_in1k'], { ...pico, convMlp: true }, imageNet(224)),
  ...timm(
    'convnext_nano',
    ['in12k_ft_in1k', 'd1h_in1k', 'in12k'],
    { ...nano, convMlp: true },
    imageNet(224, 0.95),
  ),
  ...timm(
    'convnext_nano',
    ['r384_ad_in12k', 'r384_in12k', 'r384_in12k_ft_in1k'],
    { ...nano, convMlp: true },
    imageNet(384, 1),
  ),
  ...timm('convnext_tiny', ['in12k_ft_in1k', 'in12k'], tiny, imageNet(224, 0.95)),
  ...timm('convnext_tiny', ['dinov3_lvd1689m'], tiny, imageNet(224, 1), 'dinov3-license'),
  ...timm('convnext_tiny', ['eupe_lvd1689m'], tiny, imageNet(256, 1), 'fair-noncommercial-research-license'),
  ...timm('convnext_tiny', ['fb_in1k', 'fb_in22k', 'fb_in22k_ft_in1k'], tiny, imageNet(224)),
  ...timm('convnext_tiny', ['fb_in22k_ft_in1k_384', 'in12k_ft_in1k_384'], tiny, squashed(imageNet(384, 1))),
  ...timm('convnext_small', ['in12k_ft_in1k', 'in12k'], small, imageNet(224, 0.95)),
  ...timm('convnext_small', ['dinov3_lvd1689m'], small, imageNet(224, 1), 'dinov3-license'),
  ...timm(
    'convnext_small',
    ['eupe_lvd1689m'],
    small,
    imageNet(256, 1),
    'fair-noncommercial-research-license',
  ),
  ...timm('convnext_small', ['fb_in1k', 'fb_in22k', 'fb_in22k_ft_in1k'], small, imageNet(224)),
  ...timm('convnext_small', ['fb_in22k_ft_in1k_384', 'in12k_ft_in1k_384'], small, squashed(imageNet(384, 1))),
  ...timm('convnext_base', ['fb_in22k_ft_in1k', 'fb_in1k', 'fb_in22k'], base, imageNet(224)),
  ...timm(
    'convnext_base',
    [
      'clip_laion2b',
      'clip_laion2b_augreg',
      'clip_laion2b_augreg_ft_in1k',
      'clip_laion2b_augreg_ft_in12k',
      'clip_laion2b_augreg_ft_in12k_in1k',
      'clip_laiona',
    ],
    base,
    clipImages(256),
  ),
  ...timm('convnext_base', ['clip_laion2b_augreg_ft_in12k_in1k_384'], base, squashed(clipImages(384))),
  ...timm('convnext_base', ['clip_laiona_320', 'clip_laiona_augreg_320'], base, clipImages(320)),
  ...timm('convnext_base', ['clip_laiona_augreg_ft_in1k_384'], base, clipImages(384)),
  ...timm('convnext_base', ['dinov3_lvd1689m'], base, imageNet(224, 1), 'dinov3-license'),
  ...timm('convnext_base', ['eupe_lvd1689m'], base, imageNet(256, 1), 'fair-noncommercial-research-license'),
  ...timm('convnext_base', ['fb_in22k_ft_in1k_384'], base, squashed(imageNet(384, 1))),
  ...timm('convnext_large', ['fb_in22k_ft_in1k', 'fb_in1k', 'fb_in22k'], large, imageNet(224)),
  ...timm('convnext_large', ['dinov3_lvd1689m'], large, imageNet(224, 1), 'dinov3-license'),
  ...timm('convnext_large', ['fb_in22k_ft_in1k_384'], large, squashed(imageNet(384, 1))),
  ...timm(
    'convnextv2_atto',
    ['fcmae_ft_in1k', 'fcmae'],
    { ...atto, grn: true, convMlp: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_femto',
    ['fcmae_ft_in1k', 'fcmae'],
    { ...femto, grn: true, convMlp: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_pico',
    ['fcmae_ft_in1k', 'fcmae'],
    { ...pico, grn: true, convMlp: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_nano',
    ['fcmae_ft_in22k_in1k', 'fcmae', 'fcmae_ft_in1k'],
    { ...nano, grn: true, convMlp: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_nano',
    ['fcmae_ft_in22k_in1k_384'],
    { ...nano, grn: true, convMlp: true },
    squashed(imageNet(384, 1)),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_tiny',
    ['fcmae_ft_in22k_in1k', 'fcmae', 'fcmae_ft_in1k'],
    { ...tiny, grn: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_tiny',
    ['fcmae_ft_in22k_in1k_384'],
    { ...tiny, grn: true },
    squashed(imageNet(384, 1)),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_base',
    ['fcmae_ft_in22k_in1k', 'fcmae', 'fcmae_ft_in1k'],
    { ...base, grn: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_base',
    ['fcmae_ft_in22k_in1k_384'],
    { ...base, grn: true },
    squashed(imageNet(384, 1)),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_large',
    ['fcmae_ft_in22k_in1k', 'fcmae', 'fcmae_ft_in1k'],
    { ...large, grn: true },
    imageNet(224),
    'cc-by-nc-4.0',
  ),
  ...timm(
    'convnextv2_large',
    ['fcmae_ft_in22k_in1k_384'],
    { ...large, grn: true },
    squashed(imageNet(384, 1)),
    'cc-by-nc-4.0',
  ),
  ...hub(['facebook/convnext-tiny-224'], { ...tiny, headEps: 1e-12 }, imageNet(224)),
  ...hub(
    ['facebook/dinov3-convnext-tiny-pretrain-lvd1689m'],
    tiny,
    squashed(bilinear(imageNet(224, 1))),
    dinov3,
  ),
  ...hub(['facebook/convnext-small-224'], { ...small, headEps: 1e-12 }, imageNet(224)),
  ...hub(
    ['facebook/dinov3-convnext-small-pretrain-lvd1689m'],
    small,
    squashed(bilinear(imageNet(224, 1))),
    dinov3,
  ),
  ...hub(
    ['facebook/convnext-base-224', 'facebook/convnext-base-224-22k', 'facebook/convnext-base-224-22k-1k'],
    { ...base, headEps: 1e-12 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/dinov3-convnext-base-pretrain-lvd1689m'],
    base,
    squashed(bilinear(imageNet(224, 1))),
    dinov3,
  ),
  ...hub(
    ['facebook/convnext-large-224', 'facebook/convnext-large-224-22k', 'facebook/convnext-large-224-22k-1k'],
    { ...large, headEps: 1e-12 },
    imageNet(224),
  ),
  ...hub(
    ['facebook/dinov3-convnext-large-pretrain-lvd1689m'],
    large,
    squashed(bilinear(imageNet(224, 1))),
    dinov3,
  ),
  ...hub(
    ['facebook/convnextv2-atto-1k-224'],
    { ...atto, grn: true, convMlp: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-femto-1k-224'],
    { ...femto, grn: true, convMlp: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-pico-1k-224'],
    { ...pico, grn: true, convMlp: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-nano-1k-224'],
    { ...nano, grn: true, convMlp: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-tiny-1k-224', 'facebook/convnextv2-tiny-22k-224'],
    { ...tiny, grn: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-base-1k-224', 'facebook/convnextv2-base-22k-224'],
    { ...base, grn: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
  ...hub(
    ['facebook/convnextv2-large-1k-224', 'facebook/convnextv2-large-22k-224'],
    { ...large, grn: true, headEps: 1e-12 },
    imageNet(224),
    nonCommercial,
  ),
];
