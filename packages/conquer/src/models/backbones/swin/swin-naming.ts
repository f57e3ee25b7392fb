import { cat, type Tensor } from '@conquer-dml/torch';
import type { Naming, NamingRule } from '../../weights/naming.js';

const rule = (own: RegExp, names: readonly string[], make?: NamingRule['make']): NamingRule => ({
  own,
  names,
  make,
});
const stacked = (parts: readonly Tensor[]) => cat([...parts], 0);

/** What can be computed of the window, and yet is in some files. */
const COMPUTED = /(relative_position_index|attn_mask|relative_coords_table)$/;

const block = 'encoder.layers.$1.blocks.$2';

/** How files hold Swin: timm's, and transformers'. */
export const swinNamings: readonly Naming[] = [
  { of: "timm's Swin", rules: [rule(/^(.*)$/, ['$1'])], ignored: COMPUTED },
  {
    of: "transformers' Swin",
    rules: [
      rule(/^patch_embed\.proj\.(\w+)$/, ['embeddings.patch_embeddings.projection.$1']),
      rule(/^patch_embed\.norm\.(\w+)$/, ['embeddings.norm.$1']),
      rule(
        /^layers\.(\d)\.blocks\.(\d+)\.attn\.qkv\.(\w+)$/,
        ['query', 'key', 'value'].map((part) => `${block}.attention.self.${part}.$3`),
        stacked,
      ),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.attn\.proj\.(\w+)$/, [`${block}.attention.output.dense.$3`]),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.attn\.(relative_position_bias_table)$/, [
        `${block}.attention.self.$3`,
      ]),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.norm1\.(\w+)$/, [`${block}.layernorm_before.$3`]),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.norm2\.(\w+)$/, [`${block}.layernorm_after.$3`]),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.mlp\.fc1\.(\w+)$/, [`${block}.intermediate.dense.$3`]),
      rule(/^layers\.(\d)\.blocks\.(\d+)\.mlp\.fc2\.(\w+)$/, [`${block}.output.dense.$3`]),
      // timm has the merging of patches in front of a stage, transformers behind the one before.
      ...['1', '2', '3'].map((stage) =>
        rule(new RegExp(`^layers\\.${stage}\\.downsample\\.(\\w+)\\.(\\w+)$`), [
          `encoder.layers.${Number(stage) - 1}.downsample.$1.$2`,
        ]),
      ),
      rule(/^norm\.(\w+)$/, ['layernorm.$1']),
    ],
    ignored: COMPUTED,
  },
];
