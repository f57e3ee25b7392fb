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
    { of: "MobileNetV2's", rules: [...ends, ...layers(flat, (n) => `features.${n + 1}`)] },
  ];
}
