import { bilinear, halves, imageNet, weightsOf } from '../../weights/published.js';
import { type ResNetShape, resnets } from './resnet-shape.js';

const { timm, hub } = weightsOf<ResNetShape>();

/** ResNets as timm and others published them. */
export const resnetWeights = [
  ...timm('resnet18', ['a1_in1k', 'a2_in1k'], resnets.resnet18, imageNet(224, 0.95)),
  ...timm('resnet18', ['a3_in1k'], resnets.resnet18, imageNet(160, 0.95)),
  ...timm(
    'resnet18',
    ['fb_ssl_yfcc100m_ft_in1k', 'fb_swsl_ig1b_ft_in1k'],
    resnets.resnet18,
    bilinear(imageNet(224)),
    'cc-by-nc-4.0',
  ),
  ...timm('resnet18', ['gluon_in1k'], resnets.resnet18, imageNet(224)),
  ...timm('resnet18', ['tv_in1k'], resnets.resnet18, bilinear(imageNet(224)), 'bsd-3-clause'),
  ...timm('resnet34', ['a1_in1k', 'a2_in1k'], resnets.resnet34, imageNet(224, 0.95)),
  ...timm('resnet34', ['a3_in1k'], resnets.resnet34, imageNet(160, 0.95)),
  ...timm('resnet34', ['bt_in1k', 'gluon_in1k'], resnets.resnet34, imageNet(224)),
  ...timm('resnet34', ['ra4_e3600_r224_in1k'], resnets.resnet34, halves(224)),
  ...timm('resnet34', ['tv_in1k'], resnets.resnet34, bilinear(imageNet(224)), 'bsd-3-clause'),
  ...timm(
    'resnet50',
    ['a1_in1k', 'a2_in1k', 'b1k_in1k', 'b2k_in1k', 'c1_in1k', 'c2_in1k', 'd_in1k'],
    resnets.resnet50,
    imageNet(224, 0.95),
  ),
  ...timm('resnet50', ['a1h_in1k'], resnets.resnet50, imageNet(176, 0.9)),
  ...timm('resnet50', ['a3_in1k'], resnets.resnet50, imageNet(160, 0.95)),
  ...timm(
    'resnet50',
    ['am_in1k', 'bt_in1k', 'gluon_in1k', 'ra_in1k', 'ram_in1k'],
    resnets.resnet50,
    imageNet(224),
  ),
  ...timm('resnet50', ['bamboo'], resnets.resnet50, imageNet(224, 1), 'unknown'),
  ...timm(
    'resnet50',
    ['fb_ssl_yfcc100m_ft_in1k', 'fb_swsl_ig1b_ft_in1k'],
    resnets.resnet50,
    bilinear(imageNet(224)),
    'cc-by-nc-4.0',
  ),
  ...timm('resnet50', ['tv2_in1k'], resnets.resnet50, bilinear(imageNet(176)), 'bsd-3-clause'),
  ...timm('resnet50', ['tv_in1k'], resnets.resnet50, bilinear(imageNet(224)), 'bsd-3-clause'),
  ...timm('resnet101', ['a1h_in1k', 'a1_in1k', 'a2_in1k'], resnets.resnet101, imageNet(224, 0.95)),
  ...timm('resnet101', ['a3_in1k'], resnets.resnet101, imageNet(160, 0.95)),
  ...timm('resnet101', ['gluon_in1k'], resnets.resnet101, imageNet(224)),
  ...timm('resnet101', ['tv2_in1k'], resnets.resnet101, bilinear(imageNet(176)), 'bsd-3-clause'),
  ...timm('resnet101', ['tv_in1k'], resnets.resnet101, bilinear(imageNet(224)), 'bsd-3-clause'),
  ...timm('resnet152', ['a1h_in1k', 'a1_in1k', 'a2_in1k'], resnets.resnet152, imageNet(224, 0.95)),
  ...timm('resnet152', ['a3_in1k'], resnets.resnet152, imageNet(160, 0.95)),
  ...timm('resnet152', ['gluon_in1k'], resnets.resnet152, imageNet(224)),
  ...timm('resnet152', ['tv2_in1k'], resnets.resnet152, bilinear(imageNet(176)), 'bsd-3-clause'),
  ...timm('resnet152', ['tv_in1k'], resnets.resnet152, bilinear(imageNet(224)), 'bsd-3-clause'),
  ...hub(['microsoft/resnet-18'], resnets.resnet18, imageNet(224)),
  ...hub(['microsoft/resnet-34'], resnets.resnet34, imageNet(224)),
  ...hub(['microsoft/resnet-50'], resnets.resnet50, imageNet(224)),
  ...hub(['microsoft/resnet-101'], resnets.resnet101, imageNet(224)),
  ...hub(['microsoft/resnet-152'], resnets.resnet152, imageNet(224)),
];
