import { bilinear, halves, imageNet, unit, weightsOf } from '../../weights/published.js';
import type { EfficientNetShape } from './efficientnet-plan.js';

const { timm } = weightsOf<EfficientNetShape>();

/** EfficientNet, EfficientNet-Lite and MobileNetV2 as they were published. */
export const efficientnetWeights = [
  ...timm('efficientnet_b0', ['ra_in1k'], { kind: 'efficientnet' }, imageNet(224)),
  ...timm('efficientnet_b0', ['ra4_e3600_r224_in1k'], { kind: 'efficientnet' }, halves(224)),
  ...timm(
    'tf_efficientnet_b0',
    ['ns_jft_in1k', 'aa_in1k', 'in1k'],
    { kind: 'efficientnet', tensorflow: true },
    imageNet(224),
  ),
  ...timm('tf_efficientnet_b0', ['ap_in1k'], { kind: 'efficientnet', tensorflow: true }, halves(224, 0.875)),
  ...timm('efficientnet_b1', ['ra4_e3600_r240_in1k'], { kind: 'efficientnet', depth: 1.1 }, halves(240)),
  ...timm('efficientnet_b1', ['ft_in1k'], { kind: 'efficientnet', depth: 1.1 }, imageNet(224)),
  ...timm(
    'tf_efficientnet_b1',
    ['ns_jft_in1k', 'aa_in1k', 'in1k'],
    { kind: 'efficientnet', depth: 1.1, tensorflow: true },
    imageNet(240, 0.882),
  ),
  ...timm(
    'tf_efficientnet_b1',
    ['ap_in1k'],
    { kind: 'efficientnet', depth: 1.1, tensorflow: true },
    halves(240, 0.882),
  ),
  ...timm('efficientnet_b2', ['ra_in1k'], { kind: 'efficientnet', width: 1.1, depth: 1.2 }, imageNet(256)),
  ...timm(
    'tf_efficientnet_b2',
    ['ns_jft_in1k', 'aa_in1k', 'in1k'],
    { kind: 'efficientnet', width: 1.1, depth: 1.2, tensorflow: true },
    imageNet(260, 0.89),
  ),
  ...timm(
    'tf_efficientnet_b2',
    ['ap_in1k'],
    { kind: 'efficientnet', width: 1.1, depth: 1.2, tensorflow: true },
    halves(260, 0.89),
  ),
  ...timm('efficientnet_b3', ['ra2_in1k'], { kind: 'efficientnet', width: 1.2, depth: 1.4 }, imageNet(288)),
  ...timm(
    'tf_efficientnet_b3',
    ['ns_jft_in1k', 'aa_in1k', 'in1k'],
    { kind: 'efficientnet', width: 1.2, depth: 1.4, tensorflow: true },
    imageNet(300, 0.904),
  ),
  ...timm(
    'tf_efficientnet_b3',
    ['ap_in1k'],
    { kind: 'efficientnet', width: 1.2, depth: 1.4, tensorflow: true },
    halves(300, 0.904),
  ),
  ...timm('efficientnet_b4', ['ra2_in1k'], { kind: 'efficientnet', width: 1.4, depth: 1.8 }, imageNet(320)),
  ...timm(
    'tf_efficientnet_b4',
    ['ns_jft_in1k', 'aa_in1k', 'in1k'],
    { kind: 'efficientnet', width: 1.4, depth: 1.8, tensorflow: true },
    imageNet(380, 0.922),
  ),
  ...timm(
    'tf_efficientnet_b4',
    ['ap_in1k'],
    { kind: 'efficientnet', width: 1.4, depth: 1.8, tensorflow: true },
    halves(380, 0.922),
  ),
  ...timm('efficientnet_lite0', ['ra_in1k'], { kind: 'efficientnet-lite' }, imageNet(224)),
  ...timm(
    'tf_efficientnet_lite0',
    ['in1k'],
    { kind: 'efficientnet-lite', tensorflow: true },
    halves(224, 0.875),
  ),
  ...timm(
    'tf_efficientnet_lite1',
    ['in1k'],
    { kind: 'efficientnet-lite', depth: 1.1, tensorflow: true },
    halves(240, 0.882),
  ),
  ...timm(
    'tf_efficientnet_lite2',
    ['in1k'],
    { kind: 'efficientnet-lite', width: 1.1, depth: 1.2, tensorflow: true },
    halves(260, 0.89),
  ),
  ...timm('mobilenetv2_050', ['lamb_in1k'], { kind: 'mobilenetv2', width: 0.5 }, imageNet(224)),
  ...timm('mobilenetv2_100', ['ra_in1k'], { kind: 'mobilenetv2' }, imageNet(224)),
  ...timm(
    'mobilenetv2_110d',
    ['ra_in1k'],
    { kind: 'mobilenetv2', width: 1.1, depth: 1.2, fixedEnds: true },
    imageNet(224),
  ),
  ...timm(
    'mobilenetv2_120d',
    ['ra_in1k'],
    { kind: 'mobilenetv2', width: 1.2, depth: 1.4, fixedEnds: true },
    imageNet(224),
  ),
  ...timm('mobilenetv2_140', ['ra_in1k'], { kind: 'mobilenetv2', width: 1.4 }, imageNet(224)),
];

/** MobileNetV3 as it was published. */
export const mobilenetWeights = [
  ...timm('mobilenetv3_small_050', ['lamb_in1k'], { kind: 'mobilenetv3-small', width: 0.5 }, imageNet(224)),
  ...timm('mobilenetv3_small_075', ['lamb_in1k'], { kind: 'mobilenetv3-small', width: 0.75 }, imageNet(224)),
  ...timm('mobilenetv3_small_100', ['lamb_in1k'], { kind: 'mobilenetv3-small' }, imageNet(224)),
  ...timm(
    'tf_mobilenetv3_small_075',
    ['in1k'],
    { kind: 'mobilenetv3-small', width: 0.75, tensorflow: true },
    bilinear(halves(224, 0.875)),
  ),
  ...timm(
    'tf_mobilenetv3_small_100',
    ['in1k'],
    { kind: 'mobilenetv3-small', tensorflow: true },
    bilinear(halves(224, 0.875)),
  ),
  ...timm('mobilenetv3_large_100', ['ra_in1k'], { kind: 'mobilenetv3-large' }, imageNet(224)),
  ...timm(
    'mobilenetv3_large_100',
    ['miil_in21k', 'miil_in21k_ft_in1k'],
    { kind: 'mobilenetv3-large' },
    bilinear(unit(224)),
  ),
  ...timm('mobilenetv3_large_100', ['ra4_e3600_r224_in1k'], { kind: 'mobilenetv3-large' }, halves(224, 0.95)),
  ...timm(
    'mobilenetv3_large_150d',
    ['ra4_e3600_r256_in1k'],
    { kind: 'mobilenetv3-large', width: 1.5, depth: 1.2 },
    bilinear(halves(256, 0.95)),
  ),
  ...timm(
    'tf_mobilenetv3_large_075',
    ['in1k'],
    { kind: 'mobilenetv3-large', width: 0.75, tensorflow: true },
    bilinear(halves(224, 0.875)),
  ),
  ...timm(
    'tf_mobilenetv3_large_100',
    ['in1k'],
    { kind: 'mobilenetv3-large', tensorflow: true },
    bilinear(halves(224, 0.875)),
  ),
];
