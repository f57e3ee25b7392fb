import { halves, imageNet, squashed, weightsOf } from '../../weights/published.js';
import type { SwinShape } from './swin-shape.js';

const { timm, hub } = weightsOf<SwinShape>();

const tiny = { width: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24] };
const small = { width: 96, depths: [2, 2, 18, 2], heads: [3, 6, 12, 24] };
const base = { width: 128, depths: [2, 2, 18, 2], heads: [4, 8, 16, 32] };
const large = { width: 192, depths: [2, 2, 18, 2], heads: [6, 12, 24, 48] };
const of = (shape: typeof tiny, window: number, side: number): SwinShape => ({
  ...shape,
  window,
  size: [side, side],
});
const nonCommercial = { license: 'cc-by-nc-4.0' };

/** Swin as it was published, and MegaDescriptor, which re-identifies animals (in timm's names). */
export const swinWeights = [
  ...timm(
    'swin_tiny_patch4_window7_224',
    ['ms_in1k', 'ms_in22k', 'ms_in22k_ft_in1k'],
    of(tiny, 7, 224),
    imageNet(224, 0.9),
    'mit',
  ),
  ...timm(
    'swin_small_patch4_window7_224',
    ['ms_in22k_ft_in1k', 'ms_in1k', 'ms_in22k'],
    of(small, 7, 224),
    imageNet(224, 0.9),
    'mit',
  ),
  ...timm(
    'swin_base_patch4_window7_224',
    ['ms_in22k_ft_in1k', 'ms_in1k', 'ms_in22k'],
    of(base, 7, 224),
    imageNet(224, 0.9),
    'mit',
  ),
  ...timm(
    'swin_base_patch4_window12_384',
    ['ms_in22k_ft_in1k', 'ms_in1k', 'ms_in22k'],
    of(base, 12, 384),
    imageNet(384, 1),
    'mit',
  ),
  ...timm(
    'swin_large_patch4_window7_224',
    ['ms_in22k_ft_in1k', 'ms_in22k'],
    of(large, 7, 224),
    imageNet(224, 0.9),
    'mit',
  ),
  ...timm(
    'swin_large_patch4_window12_384',
    ['ms_in22k_ft_in1k', 'ms_in22k'],
    of(large, 12, 384),
    imageNet(384, 1),
    'mit',
  ),
  ...hub(['microsoft/swin-tiny-patch4-window7-224'], of(tiny, 7, 224), squashed(imageNet(224, 1))),
  ...hub(['microsoft/swin-small-patch4-window7-224'], of(small, 7, 224), squashed(imageNet(224, 1))),
  ...hub(
    ['microsoft/swin-base-patch4-window7-224', 'microsoft/swin-base-patch4-window7-224-in22k'],
    of(base, 7, 224),
    squashed(imageNet(224, 1)),
  ),
  ...hub(
    ['microsoft/swin-large-patch4-window7-224', 'microsoft/swin-large-patch4-window7-224-in22k'],
    of(large, 7, 224),
    squashed(imageNet(224, 1)),
  ),
  ...hub(['BVRA/MegaDescriptor-T-224'], of(tiny, 7, 224), squashed(halves(224, 1)), nonCommercial),
  ...hub(['BVRA/MegaDescriptor-S-224'], of(small, 7, 224), squashed(halves(224, 1)), nonCommercial),
  ...hub(['BVRA/MegaDescriptor-B-224'], of(base, 7, 224), squashed(halves(224, 1)), nonCommercial),
  ...hub(['BVRA/MegaDescriptor-L-224'], of(large, 7, 224), squashed(halves(224, 1)), nonCommercial),
  ...hub(['BVRA/MegaDescriptor-L-384'], of(large, 12, 384), squashed(halves(384, 1)), nonCommercial),
];
