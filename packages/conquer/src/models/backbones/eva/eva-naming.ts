import { cat, type Tensor } from '@conquer-dml/torch';
import type { Naming, NamingRule } from '../../weights/naming.js';

const rule = (own: RegExp, names: readonly string[], make?: NamingRule['make']): NamingRule => ({
  own,
  names,
  make,
});
const stacked = (parts: readonly Tensor[]) => cat([...parts], 0);

/** How transformers' files hold DINOv3's vision transformers. */
export const evaNamings: readonly Naming[] = [
  {
    of: "transformers' DINOv3",
    rules: [
      rule(/^cls_token$/, ['embeddings.cls_token']),
      rule(/^reg_token$/, ['embeddings.register_tokens']),
      rule(/^patch_embed\.proj\.(\w+)$/, ['embeddings.patch_embeddings.$1']),
      rule(
        /^blocks\.(\d+)\.attn\.qkv\.weight$/,
        ['q', 'k', 'v'].map((part) => `layer.$1.attention.${part}_proj.weight`),
        stacked,
      ),
      rule(/^blocks\.(\d+)\.attn\.([qv])_bias$/, ['layer.$1.attention.$2_proj.bias']),
      rule(/^blocks\.(\d+)\.attn\.proj\.(\w+)$/, ['layer.$1.attention.o_proj.$2']),
      rule(/^blocks\.(\d+)\.gamma_([12])$/, ['layer.$1.layer_scale$2.lambda1']),
      rule(/^blocks\.(\d+)\.norm([12])\.(\w+)$/, ['layer.$1.norm$2.$3']),
      rule(/^blocks\.(\d+)\.mlp\.fc1\.(\w+)$/, ['layer.$1.mlp.up_proj.$2']),
      rule(/^blocks\.(\d+)\.mlp\.fc1_g\.(\w+)$/, ['layer.$1.mlp.gate_proj.$2']),
      rule(/^blocks\.(\d+)\.mlp\.fc1_x\.(\w+)$/, ['layer.$1.mlp.up_proj.$2']),
      rule(/^blocks\.(\d+)\.mlp\.fc2\.(\w+)$/, ['layer.$1.mlp.down_proj.$2']),
      rule(/^norm\.(\w+)$/, ['norm.$1']),
    ],
    ignored: /^embeddings\.mask_token$/,
  },
];
