import type { EfficientNetShape } from './efficientnet-shape.js';
import { halves, imageNet, weightsOf } from './published.js';

const { timm } = weightsOf<EfficientNetShape>();

const b0 = { width: 1, depth: 1 };
const b1 = { width: 1, depth: 1.1 };
const b2 = { width: 1.1, depth: 1.2 };
const b3 = { width: 1.2, depth: 1.4 };
const b4 = { width: 1.4, depth: 1.8 };

const ofTf = ['ns_jft_in1k', 'aa_in1k', 'in1k'] as const;
const tf = (shape: EfficientNetShape): EfficientNetShape => ({ ...shape, tf: true });
const lite = (shape: EfficientNetShape): EfficientNetShape => ({ ...shape, lite: true });

/** The published weights of EfficientNets. */
export const efficientNetWeights = [
  ...timm('efficientnet_b0', ['ra_in1k'], b0, imageNet(224)),
  ...timm('efficientnet_b0', ['ra4_e3600_r224_in1k'], b0, halves(224)),
  ...timm('efficientnet_b1', ['ra4_e3600_r240_in1k'], b1, halves(240)),
  ...timm('efficientnet_b1', ['ft_in1k'], b1, imageNet(224)),
  ...timm('efficientnet_b2', ['ra_in1k'], b2, imageNet(256)),
  ...timm('efficientnet_b3', ['ra2_in1k'], b3, imageNet(288)),
  ...timm('efficientnet_b4', ['ra2_in1k'], b4, imageNet(320)),
  ...timm('efficientnet_lite0', ['ra_in1k'], lite(b0), imageNet(224)),
  ...timm('tf_efficientnet_b0', ofTf, tf(b0), imageNet(224)),
  ...timm('tf_efficientnet_b0', ['ap_in1k'], tf(b0), halves(224, 0.875)),
  ...timm('tf_efficientnet_b1', ofTf, tf(b1), imageNet(240, 0.882)),
  ...timm('tf_efficientnet_b1', ['ap_in1k'], tf(b1), halves(240, 0.882)),
  ...timm('tf_efficientnet_b2', ofTf, tf(b2), imageNet(260, 0.89)),
  ...timm('tf_efficientnet_b2', ['ap_in1k'], tf(b2), halves(260, 0.89)),
  ...timm('tf_efficientnet_b3', ofTf, tf(b3), imageNet(300, 0.904)),
  ...timm('tf_efficientnet_b3', ['ap_in1k'], tf(b3), halves(300, 0.904)),
  ...timm('tf_efficientnet_b4', ofTf, tf(b4), imageNet(380, 0.922)),
  ...timm('tf_efficientnet_b4', ['ap_in1k'], tf(b4), halves(380, 0.922)),
  ...timm('tf_efficientnet_lite0', ['in1k'], tf(lite(b0)), halves(224, 0.875)),
  ...timm('tf_efficientnet_lite1', ['in1k'], tf(lite(b1)), halves(240, 0.882)),
  ...timm('tf_efficientnet_lite2', ['in1k'], tf(lite(b2)), halves(260, 0.89)),
];

export type EfficientNetName = (typeof efficientNetWeights)[number]['name'];
