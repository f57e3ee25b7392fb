import { cat, type Tensor } from '@conquer-dml/torch';
import type { Naming, NamingRule } from '../../weights/naming.js';

/** One below the other: queries, keys and values of a layer each as one of all three. */
const stacked = (parts: readonly Tensor[]) => cat([...parts], 0);
const unstacked = (whole: Tensor, count: number) => {
  const rows = whole.size(0) / count;
  return Array.from({ length: count }, (_, i) => whole.narrow(0, i * rows, rows));
};

/** Rows of one of three equal parts, or of `count` of them. */
const thirds =
  (first: number, count = 1) =>
  ([whole]: readonly Tensor[]): Tensor => {
    const rows = (whole as Tensor).size(0) / 3;
    return (whole as Tensor).narrow(0, first * rows, count * rows);
  };

const shaped =
  (shape: readonly number[]) =>
  ([stored]: readonly Tensor[]) =>
    (stored as Tensor).reshape(shape);

const rule = (
  own: RegExp,
  names: readonly string[],
  make?: NamingRule['make'],
  split?: NamingRule['split'],
): NamingRule => ({ own, names, make, split });

/** The parts of a block that transformers names alike in ViT and both DINOv2. */
const encoderLayer = (block: { norm1: string; norm2: string; fc1: string; fc2: string }) => {
  const layer = 'encoder.layer.$1';
  return [
    rule(
      /^blocks\.(\d+)\.attn\.qkv\.(\w+)$/,
      ['query', 'key', 'value'].map((part) => `${layer}.attention.attention.${part}.$2`),
      stacked,
      unstacked,
    ),
    rule(/^blocks\.(\d+)\.attn\.proj\.(\w+)$/, [`${layer}.attention.output.dense.$2`]),
    rule(/^blocks\.(\d+)\.norm1\.(\w+)$/, [`${layer}.${block.norm1}.$2`]),
    rule(/^blocks\.(\d+)\.norm2\.(\w+)$/, [`${layer}.${block.norm2}.$2`]),
    rule(/^blocks\.(\d+)\.mlp\.fc1\.(\w+)$/, [`${layer}.${block.fc1}.$2`]),
    rule(/^blocks\.(\d+)\.mlp\.fc2\.(\w+)$/, [`${layer}.${block.fc2}.$2`]),
    rule(/^blocks\.(\d+)\.ls([12])\.gamma$/, [`${layer}.layer_scale$2.lambda1`]),
    rule(/^norm\.(\w+)$/, ['layernorm.$1']),
    rule(/^patch_embed\.proj\.(\w+)$/, ['embeddings.patch_embeddings.projection.$1']),
  ];
};

const vitLayers = encoderLayer({
  norm1: 'layernorm_before',
  norm2: 'layernorm_after',
  fc1: 'intermediate.dense',
  fc2: 'output.dense',
});
const dinoLayers = encoderLayer({ norm1: 'norm1', norm2: 'norm2', fc1: 'mlp.fc1', fc2: 'mlp.fc2' });

/** The class token's position lies in the table; it may be a part of the token as well, where no position is added to it. */
const positions = [
  rule(/^cls_token$/, ['embeddings.cls_token']),
  rule(/^pos_embed$/, ['embeddings.position_embeddings']),
];
const positionsOfPatches = [
  rule(/^cls_token$/, ['embeddings.cls_token', 'embeddings.position_embeddings'], ([token, table]) =>
    // Rounded once, to what the network computes in.
    (token as Tensor).to('float64').add((table as Tensor).narrow(1, 0, 1)),
  ),
  rule(/^reg_token$/, ['embeddings.register_tokens']),
  rule(/^pos_embed$/, ['embeddings.position_embeddings'], ([table]) =>
    (table as Tensor).narrow(1, 1, (table as Tensor).size(1) - 1),
  ),
];

/** CLIP and SigLIP: the image's half of a network of images and texts. */
const sharedSpace = [
  rule(
    /^blocks\.(\d+)\.attn\.qkv\.(\w+)$/,
    ['q', 'k', 'v'].map((part) => `encoder.layers.$1.self_attn.${part}_proj.$2`),
    stacked,
  ),
  rule(/^blocks\.(\d+)\.attn\.proj\.(\w+)$/, ['encoder.layers.$1.self_attn.out_proj.$2']),
  rule(/^blocks\.(\d+)\.norm([12])\.(\w+)$/, ['encoder.layers.$1.layer_norm$2.$3']),
  rule(/^blocks\.(\d+)\.mlp\.(fc[12])\.(\w+)$/, ['encoder.layers.$1.mlp.$2.$3']),
  rule(/^norm\.(\w+)$/, ['post_layernorm.$1']),
  rule(/^patch_embed\.proj\.(\w+)$/, ['embeddings.patch_embedding.$1']),
  rule(/^pos_embed$/, ['embeddings.position_embedding.weight'], ([table]) => (table as Tensor).unsqueeze(0)),
];

/** How transformers' files hold vision transformers with learned positions. */
export const vitNamings: readonly Naming[] = [
  {
    of: "transformers' ViT",
    rules: [...positions, ...vitLayers],
    ignored: /^(pooler|embeddings\.mask_token)\b/,
  },
  { of: "transformers' DINOv2", rules: [...positions, ...dinoLayers], ignored: /^embeddings\.mask_token$/ },
  {
    of: "transformers' DINOv2 with registers",
    rules: [...positionsOfPatches, ...dinoLayers],
    ignored: /^embeddings\.mask_token$/,
  },
  {
    of: "transformers' CLIP",
    rules: [
      ...sharedSpace,
      rule(/^cls_token$/, ['embeddings.class_embedding'], shaped([1, 1, -1])),
      rule(/^norm_pre\.(\w+)$/, ['pre_layrnorm.$1']),
      rule(/^head\.weight$/, ['visual_projection.weight']),
    ],
    ignored: /^(embeddings\.position_ids|visual_projection\.weight)$/,
  },
  {
    of: "transformers' SigLIP",
    rules: [
      ...sharedSpace,
      rule(/^attn_pool\.latent$/, ['head.probe']),
      rule(/^attn_pool\.q\.(\w+)$/, ['head.attention.in_proj_$1'], thirds(0)),
      rule(/^attn_pool\.kv\.(\w+)$/, ['head.attention.in_proj_$1'], thirds(1, 2)),
      rule(/^attn_pool\.proj\.(\w+)$/, ['head.attention.out_proj.$1']),
      rule(/^attn_pool\.norm\.(\w+)$/, ['head.layernorm.$1']),
      rule(/^attn_pool\.mlp\.(fc[12])\.(\w+)$/, ['head.mlp.$1.$2']),
    ],
    ignored: /^embeddings\.position_ids$/,
  },
];
