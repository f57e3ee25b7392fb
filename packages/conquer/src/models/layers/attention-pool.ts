import { empty, F, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { Activation } from './activation.js';
import { joinHeads, splitHeads } from './attention.js';
import { type LayerOptions, transformerLinear } from './layer-options.js';
import { Mlp } from './mlp.js';
import { plusShortcut } from './shortcut.js';

export interface AttentionPoolShape {
  width: number;
  heads: number;
  /** Channels within the MLP. */
  mlp: number;
  eps: number;
  activation: Activation;
}

/** Tokens (B, N, width) → (B, width): a learned query looks at them, and an MLP with a shortcut follows. */
export class AttentionPool extends nn.Module {
  readonly latent: Tensor;
  readonly q: nn.Linear;
  readonly kv: nn.Linear;
  readonly proj: nn.Linear;
  readonly norm: nn.LayerNorm;
  readonly mlp: Mlp;
  private readonly heads: number;

  constructor({ width, heads, mlp, eps, activation }: AttentionPoolShape, options: LayerOptions) {
    super();
    const { generator, device } = options;
    this.heads = heads;
    this.latent = nn.parameter(empty([1, 1, width], { device }));
    nn.init.truncNormal_(this.latent, { std: width ** -0.5, generator });
    this.q = transformerLinear(width, width, options);
    this.kv = transformerLinear(width, 2 * width, options);
    this.proj = transformerLinear(width, width, options);
    this.norm = new nn.LayerNorm(width, { eps, device });
    this.mlp = new Mlp(width, mlp, activation, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const [batch = 0, , width = 0] = x.shape;
      const query = splitHeads(this.q.forward(this.latent.expand([batch, -1, -1])), this.heads);
      const kv = this.kv.forward(x);
      const part = (i: number) => splitHeads(kv.narrow(-1, i * width, width), this.heads);
      const seen = this.proj.forward(joinHeads(F.scaledDotProductAttention(query, part(0), part(1))));
      return plusShortcut(this.mlp.forward(this.norm.forward(seen)), seen).select(1, 0);
    });
  }
}
