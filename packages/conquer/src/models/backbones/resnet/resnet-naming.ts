import type { Naming, NamingRule } from '../../weights/naming.js';
import type { ResNetShape } from './resnet-shape.js';

const rule = (own: RegExp, name: (...parts: string[]) => string): NamingRule => ({
  own,
  names: [name('$1', '$2', '$3', '$4')],
});

/** transformers counts stages from 0, where torchvision counts from 1. */
const STAGES = ['0', '1', '2', '3'] as const;

/** How transformers' files hold ResNets: of a block's layers each as `layer.0`, `layer.1`, ... */
export function resnetNaming(block: ResNetShape['block']): Naming {
  const layers = block === 'basic' ? [1, 2] : [1, 2, 3];
  return {
    of: "transformers' ResNet",
    rules: [
      rule(/^conv1\.(\w+)$/, (name) => `embedder.embedder.convolution.${name}`),
      rule(/^bn1\.(\w+)$/, (name) => `embedder.embedder.normalization.${name}`),
      ...STAGES.flatMap((stage) => {
        const own = `^layer${Number(stage) + 1}\\.(\\d+)\\.`;
        const theirs = (i: string) => `encoder.stages.${stage}.layers.${i}`;
        return [
          ...layers.flatMap((layer) => [
            rule(
              new RegExp(`${own}conv${layer}\\.(\\w+)$`),
              (i, name) => `${theirs(i as string)}.layer.${layer - 1}.convolution.${name}`,
            ),
            rule(
              new RegExp(`${own}bn${layer}\\.(\\w+)$`),
              (i, name) => `${theirs(i as string)}.layer.${layer - 1}.normalization.${name}`,
            ),
          ]),
          rule(
            new RegExp(`${own}downsample\\.0\\.(\\w+)$`),
            (i, name) => `${theirs(i as string)}.shortcut.convolution.${name}`,
          ),
          rule(
            new RegExp(`${own}downsample\\.1\\.(\\w+)$`),
            (i, name) => `${theirs(i as string)}.shortcut.normalization.${name}`,
          ),
        ];
      }),
    ],
    ignored: /^classifier\./,
  };
}
