import type { Tensor } from '@conquer-dml/torch';
import type { Naming, NamingRule } from '../../weights/naming.js';

const rule = (
  own: RegExp,
  name: string,
  make?: NamingRule['make'],
  split?: NamingRule['split'],
): NamingRule => ({ own, names: [name], make, split });
const flat = ([stored]: readonly Tensor[]) => (stored as Tensor).flatten();
/** A 1x1 convolution's weight is that of a linear layer. */
const asLinear = (own: Tensor) => [own.ndim === 4 ? own.flatten(1) : own];
const ofMaps = (own: Tensor) => [own.view([1, 1, 1, -1])];

/** How transformers' files hold ConvNeXt. */
export const convnextNamings: readonly Naming[] = [
  {
    of: "transformers' ConvNeXt",
    rules: [
      rule(/^stem\.0\.(\w+)$/, 'embeddings.patch_embeddings.$1'),
      rule(/^stem\.1\.(\w+)$/, 'embeddings.layernorm.$1'),
      rule(/^stages\.(\d+)\.downsample\.(\d)\.(\w+)$/, 'encoder.stages.$1.downsampling_layer.$2.$3'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(\w+)$/, 'encoder.stages.$1.layers.$2.dwconv.$3'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.norm\.(\w+)$/, 'encoder.stages.$1.layers.$2.layernorm.$3'),
      rule(
        /^stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(\w+)$/,
        'encoder.stages.$1.layers.$2.pwconv$3.$4',
        undefined,
        asLinear,
      ),
      rule(
        /^stages\.(\d+)\.blocks\.(\d+)\.mlp\.grn\.(\w+)$/,
        'encoder.stages.$1.layers.$2.grn.$3',
        flat,
        ofMaps,
      ),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.gamma$/, 'encoder.stages.$1.layers.$2.layer_scale_parameter'),
      rule(/^head\.norm\.(\w+)$/, 'layernorm.$1'),
    ],
    ignored: /^classifier\./,
  },
  {
    of: "transformers' DINOv3 ConvNeXt",
    rules: [
      rule(/^stem\.(\d)\.(\w+)$/, 'stages.0.downsample_layers.$1.$2'),
      rule(/^stages\.(\d+)\.downsample\.(\d)\.(\w+)$/, 'stages.$1.downsample_layers.$2.$3'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(\w+)$/, 'stages.$1.layers.$2.depthwise_conv.$3'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.norm\.(\w+)$/, 'stages.$1.layers.$2.layer_norm.$3'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(\w+)$/, 'stages.$1.layers.$2.pointwise_conv$3.$4'),
      rule(/^stages\.(\d+)\.blocks\.(\d+)\.gamma$/, 'stages.$1.layers.$2.gamma'),
      rule(/^head\.norm\.(\w+)$/, 'layer_norm.$1'),
    ],
  },
];
