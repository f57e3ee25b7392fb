import type { Naming, NamingRule } from '../../weights/naming.js';
import type { BlockPlan } from './efficientnet-plan.js';

/** Of a block: a layer's own name, and what it is called elsewhere. */
type Layers = Readonly<Record<string, string>>;

/** How lukemelas' EfficientNet-PyTorch and its kin call a block's layers. */
const luke: Record<'separable' | 'inverted', Layers> = {
  separable: { conv_dw: '_depthwise_conv', bn1: '_bn1', conv_pw: '_project_conv', bn2: '_bn2' },
  inverted: {
    ...{ conv_pw: '_expand_conv', bn1: '_bn0', conv_dw: '_depthwise_conv', bn2: '_bn1' },
    ...{ conv_pwl: '_project_conv', bn3: '_bn2' },
  },
};
const squeeze: Layers = { 'se.conv_reduce': '_se_reduce', 'se.conv_expand': '_se_expand' };

/** How transformers calls the layers of EfficientNet's blocks, behind the block's number. */
const hubEfficientNet: Record<'separable' | 'inverted', Layers> = {
  separable: {
    ...{ conv_dw: 'depthwise_conv.depthwise_conv', bn1: 'depthwise_conv.depthwise_norm' },
    ...{ conv_pw: 'projection.project_conv', bn2: 'projection.project_bn' },
  },
  inverted: {
    ...{ conv_pw: 'expansion.expand_conv', bn1: 'expansion.expand_bn' },
    ...{ conv_dw: 'depthwise_conv.depthwise_conv', bn2: 'depthwise_conv.depthwise_norm' },
    ...{ conv_pwl: 'projection.project_conv', bn3: 'projection.project_bn' },
  },
};
const hubSqueeze: Layers = {
  'se.conv_reduce': 'squeeze_excite.reduce',
  'se.conv_expand': 'squeeze_excite.expand',
};

/** The same of MobileNetV2, whose first block is part of the stem. */
const hubMobileNet: Record<'separable' | 'inverted', Layers> = {
  separable: {
    ...{ conv_dw: 'conv_3x3.convolution', bn1: 'conv_3x3.normalization' },
    ...{ conv_pw: 'reduce_1x1.convolution', bn2: 'reduce_1x1.normalization' },
  },
  inverted: {
    ...{ conv_pw: 'expand_1x1.convolution', bn1: 'expand_1x1.normalization' },
    ...{ conv_dw: 'conv_3x3.convolution', bn2: 'conv_3x3.normalization' },
    ...{ conv_pwl: 'reduce_1x1.convolution', bn3: 'reduce_1x1.normalization' },
  },
};

/** How torchvision numbers the layers of MobileNetV2's blocks. */
const torchvision: Record<'separable' | 'inverted', Layers> = {
  separable: { conv_dw: 'conv.0.0', bn1: 'conv.0.1', conv_pw: 'conv.1', bn2: 'conv.2' },
  inverted: {
    ...{ conv_pw: 'conv.0.0', bn1: 'conv.0.1', conv_dw: 'conv.1.0', bn2: 'conv.1.1' },
    ...{ conv_pwl: 'conv.2', bn3: 'conv.3' },
  },
};

/** How the MobileNetV2 from before it stood in torchvision numbers them: activations count, too. */
const flat: Record<'separable' | 'inverted', Layers> = {
  separable: { conv_dw: 'conv.0', bn1: 'conv.1', conv_pw: 'conv.3', bn2: 'conv.4' },
  inverted: {
    ...{ conv_pw: 'conv.0', bn1: 'conv.1', conv_dw: 'conv.3', bn2: 'conv.4' },
    ...{ conv_pwl: 'conv.6', bn3: 'conv.7' },
  },
};

const rule = (own: string, name: string): NamingRule => ({
  own: new RegExp(`^${own.replaceAll('.', '\\.')}\\.(\\w+)$`),
  names: [`${name}.$1`],
});

/**
 * How others' files hold EfficientNets and MobileNetV2. They number blocks through all stages.
 *
 * @param stages the network's blocks
 */
export function efficientnetNamings(stages: readonly (readonly BlockPlan[])[]): Naming[] {
  const all = stages.flatMap((plans, stage) =>
    plans.map(
      ({ kind }, i) =>
        ({ own: `blocks.${stage}.${i}`, kind: kind === 'separable' ? kind : 'inverted' }) as const,
    ),
  );
  const layers = (names: typeof luke, block: (n: number) => string, more: Layers = {}) =>
    all.flatMap(({ own, kind }, n) =>
      Object.entries({ ...names[kind], ...more }).map(([layer, name]) =>
        rule(`${own}.${layer}`, `${block(n)}.${name}`),
      ),
    );
  const last = `features.${all.length + 1}`;
  const ends = [
    ...[rule('conv_stem', 'features.0.0'), rule('bn1', 'features.0.1')],
    ...[rule('conv_head', `${last}.0`), rule('bn2', `${last}.1`)],
  ];
  return [
    {
      of: "EfficientNet-PyTorch's",
      rules: [
        ...[rule('conv_stem', '_conv_stem'), rule('bn1', '_bn0')],
        ...[rule('conv_head', '_conv_head'), rule('bn2', '_bn1')],
        ...layers(luke, (n) => `_blocks.${n}`, squeeze),
      ],
    },
    {
      of: "torchvision's MobileNetV2",
      rules: [...ends, ...layers(torchvision, (n) => `features.${n + 1}`)],
    },
    {
      of: "transformers' EfficientNet",
      rules: [
        ...[rule('conv_stem', 'embeddings.convolution'), rule('bn1', 'embeddings.batchnorm')],
        ...[rule('conv_head', 'encoder.top_conv'), rule('bn2', 'encoder.top_bn')],
        ...layers(hubEfficientNet, (n) => `encoder.blocks.${n}`, hubSqueeze),
      ],
      ignored: /^classifier\./,
    },
    {
      of: "transformers' MobileNetV2",
      rules: [
        ...[
          rule('conv_stem', 'conv_stem.first_conv.convolution'),
          rule('bn1', 'conv_stem.first_conv.normalization'),
        ],
        ...[rule('conv_head', 'conv_1x1.convolution'), rule('bn2', 'conv_1x1.normalization')],
        ...layers(hubMobileNet, (n) => (n === 0 ? 'conv_stem' : `layer.${n - 1}`)),
      ],
      ignored: /^classifier\./,
    },
    { of: "MobileNetV2's", rules: [...ends, ...layers(flat, (n) => `features.${n + 1}`)] },
  ];
}
