import { F, nn, scope, type Tensor } from '@conquer-dml/torch';
import { type LayerOptions, transformerLinear } from './layer-options.js';

/** Of tokens (B, N, heads · d): (B, heads, N, d). */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch = 0, tokens = 0, width = 0] = x.shape;
  return x.reshape([batch, tokens, heads, width / heads]).transpose(1, 2);
}

/** Of (B, heads, N, d): tokens (B, N, heads · d). */
export function joinHeads(x: Tensor): Tensor {
  const [batch = 0, heads = 0, tokens = 0, size = 0] = x.shape;
  return x.transpose(1, 2).reshape([batch, tokens, heads * size]);
}

export interface AttentionShape {
  width: number;
  heads: number;
  /** Whether queries, keys and values have a bias. */
  bias: boolean;
}

/** Tokens (B, N, width) → (B, N, width): each looks at all, in several heads. */
export class Attention extends nn.Module {
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;
  private readonly heads: number;

  constructor({ width, heads, bias }: AttentionShape, options: LayerOptions) {
    super();
    this.heads = heads;
    this.qkv = transformerLinear(width, 3 * width, { ...options, bias });
    this.proj = transformerLinear(width, width, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => this.proj.forward(F.selfAttention(this.qkv.forward(x), this.heads)));
  }
}
