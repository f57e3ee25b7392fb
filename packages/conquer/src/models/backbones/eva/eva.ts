import { cat, checkpoint, empty, F, nn, scope, type Tensor, zeros } from '@conquer-dml/torch';
import type { InputFormat } from '../../input-format.js';
import { joinHeads, splitHeads } from '../../layers/attention.js';
import { AttentionPool } from '../../layers/attention-pool.js';
import { type LayerOptions, transformerLinear } from '../../layers/layer-options.js';
import { Mlp, PackedSwiGlu, SwiGlu } from '../../layers/mlp.js';
import { PatchEmbedding } from '../../layers/patch-embedding.js';
import { resamplePositions } from '../../layers/position-table.js';
import { type RopeTables, ropeTables, turned } from '../../layers/rope.js';
import { plusShortcut } from '../../layers/shortcut.js';
import type { TokenShape } from '../../tunings/prompts.js';
import type { Naming } from '../../weights/naming.js';
import { Backbone, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { evaNamings } from './eva-naming.js';
import type { EvaShape } from './eva-shape.js';
import { evaWeights } from './eva-weights.js';

/** Attention whose queries and keys are turned by where their patch lies. */
class RotaryAttention extends nn.Module {
  readonly qkv: nn.Linear | null;
  readonly qBias: Tensor | null;
  readonly vBias: Tensor | null;
  readonly qProj: nn.Linear | null;
  readonly kProj: nn.Linear | null;
  readonly vProj: nn.Linear | null;
  readonly norm: nn.LayerNorm | null;
  readonly proj: nn.Linear;

  constructor(
    private readonly shape: EvaShape,
    options: LayerOptions,
  ) {
    super();
    const { width, qkv, innerNorm = false, eps = 1e-6 } = shape;
    const { device } = options;
    const linear = (bias: boolean) => transformerLinear(width, width, { ...options, bias });
    const zeroBias = () => nn.init.constant_(nn.parameter(empty([width], { device })), 0);
    const isSplit = qkv === 'split';
    this.qkv = isSplit
      ? null
      : transformerLinear(width, 3 * width, { ...options, bias: qkv === 'packed-bias' });
    this.qBias = qkv === 'separate-bias' ? zeroBias() : null;
    this.vBias = qkv === 'separate-bias' ? zeroBias() : null;
    this.qProj = isSplit ? linear(true) : null;
    this.kProj = isSplit ? linear(false) : null;
    this.vProj = isSplit ? linear(true) : null;
    this.norm = innerNorm ? new nn.LayerNorm(width, { eps, device }) : null;
    this.proj = transformerLinear(width, width, options);
  }

  /** Tokens (B, N, width) → (B, N, width). */
  run(x: Tensor, tables: RopeTables): Tensor {
    return scope(() => {
      const { rope, heads } = this.shape;
      const [q, k, v] = this.projected(x).map((part) => splitHeads(part, heads)) as [Tensor, Tensor, Tensor];
      const seen = joinHeads(
        F.scaledDotProductAttention(turned(q, rope, tables), turned(k, rope, tables), v),
      );
      return this.proj.forward(this.norm === null ? seen : this.norm.forward(seen));
    });
  }

  private projected(x: Tensor): [Tensor, Tensor, Tensor] {
    const { qkv, qBias, vBias, qProj, kProj, vProj } = this;
    if (qkv === null) return [qProj, kProj, vProj].map((layer) => (layer as nn.Linear).forward(x)) as never;
    const { width } = this.shape;
    const all = qkv.forward(x);
    if (qBias !== null && vBias !== null)
      all.add_(cat([qBias, zeros([width], { dtype: qBias.dtype, device: qBias.device }), vBias], 0));
    return [0, 1, 2].map((i) => all.narrow(-1, i * width, width)) as never;
  }
}

class Block extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: RotaryAttention;
  readonly gamma_1: Tensor | null;
  readonly norm2: nn.LayerNorm;
  readonly mlp: nn.Layer;
  readonly gamma_2: Tensor | null;
  private readonly dropPath: nn.DropPath;

  constructor(shape: EvaShape, options: LayerOptions) {
    super();
    const { width, layerScale = false, eps = 1e-6 } = shape;
    const { device } = options;
    const gamma = () => nn.init.constant_(nn.parameter(empty([width], { device })), 1e-5);
    this.norm1 = new nn.LayerNorm(width, { eps, device });
    this.attn = new RotaryAttention(shape, options);
    this.gamma_1 = layerScale ? gamma() : null;
    this.norm2 = new nn.LayerNorm(width, { eps, device });
    this.mlp = mlpOf(shape, options);
    this.gamma_2 = layerScale ? gamma() : null;
    this.dropPath = new nn.DropPath(0, { generator: options.dropoutGenerator });
  }

  run(x: Tensor, tables: RopeTables): Tensor {
    const scaled = (added: Tensor, gamma: Tensor | null) => (gamma === null ? added : added.mul(gamma));
    return scope(() => {
      const looked = scaled(this.attn.run(this.norm1.forward(x), tables), this.gamma_1);
      const seen = plusShortcut(this.dropPath.forward(looked), x);
      const thought = scaled(this.mlp.forward(this.norm2.forward(seen)), this.gamma_2);
      return plusShortcut(this.dropPath.forward(thought), seen);
    });
  }
}

function mlpOf({ mlp, width, hidden, eps = 1e-6 }: EvaShape, options: LayerOptions): nn.Layer {
  switch (mlp) {
    case 'gelu':
      return new Mlp(width, hidden, 'gelu', options);
    case 'swiglu-packed':
      return new PackedSwiGlu(width, hidden, options);
    default:
      return new SwiGlu(width, hidden, mlp === 'swiglu-norm' ? eps : null, options);
  }
}

/**
 * A vision transformer with rotary positions, without its classifier, in timm's names: EVA-02, DINOv3, Perception Encoder. Its
 * feature is a vector: pooling is its family's own.
 */
export class Eva extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly featureSize: number;
  readonly classifierPrefixes = ['head.'];
  override readonly namings: readonly Naming[] = evaNamings;
  override readonly smallestSide: number;
  readonly clsToken: Tensor;
  readonly regToken: Tensor | null;
  readonly posEmbed: Tensor | null;
  readonly patchEmbed: PatchEmbedding;
  readonly normPre: nn.LayerNorm | null;
  readonly blocks: Block[];
  readonly norm: nn.LayerNorm | null;
  readonly attnPool: AttentionPool | null;
  readonly fcNorm: nn.LayerNorm | null;
  private readonly prefix: number;
  private readonly resampled = new nn.Derived<Tensor>();

  constructor(
    readonly name: string,
    readonly shape: EvaShape,
    readonly input: InputFormat,
    { generator, dropoutGenerator, skipInit, device, dropPath = 0 }: DropPathContext = {},
  ) {
    super();
    const { patch, size, width, depth, heads, registers = 0, positions = true, preNorm = false } = shape;
    const { eps = 1e-6, pool, normAfterPool = false, poolHeads = heads } = shape;
    const options = { generator, dropoutGenerator, skipInit, device };
    const learned = (tokens: number) => {
      const token = nn.parameter(empty([1, tokens, width], { device }));
      return nn.init.truncNormal_(token, { std: 0.02, generator });
    };
    const norm = () => new nn.LayerNorm(width, { eps, device });
    this.smallestSide = patch;
    this.featureSize = width;
    this.prefix = 1 + registers;
    this.clsToken = learned(1);
    this.regToken = registers > 0 ? learned(registers) : null;
    this.posEmbed = positions ? learned(1 + Math.floor(size / patch) ** 2) : null;
    this.patchEmbed = new PatchEmbedding(patch, width, !preNorm, options);
    this.normPre = preNorm ? norm() : null;
    this.blocks = Array.from({ length: depth }, () => new Block(shape, options));
    this.norm = normAfterPool ? null : norm();
    this.attnPool =
      pool === 'map'
        ? new AttentionPool({ width, heads: poolHeads, mlp: 4 * width, eps, activation: 'gelu' }, options)
        : null;
    this.fcNorm = normAfterPool ? norm() : null;
    this.setDropPath(dropPath);
  }

  override takesSide(side: number): boolean {
    return side > 0 && side % this.shape.patch === 0;
  }

  /** Images (B, 3, H, W) to (B, featureSize). */
  features(images: Tensor): Tensor {
    return scope(() => this.pooled(this.tokens(images)));
  }

  /** Images to the last block's tokens (B, N, width), class token and registers first, before the last norm. */
  private tokens(images: Tensor): Tensor {
    return scope(() => {
      const { size, patch, rope, width, heads } = this.shape;
      const maps = this.patchEmbed.forward(images);
      const [batch = 0, , rows = 0, columns = 0] = maps.shape;
      const front = [this.clsToken, this.regToken].flatMap((token) =>
        token === null ? [] : [token.expand([batch, -1, -1])],
      );
      let x = cat([...front, maps.flatten(2).transpose(1, 2)], 1);
      if (this.posEmbed !== null) {
        const side = Math.floor(size / patch);
        x = x.add(
          resamplePositions(
            this.posEmbed,
            { prefix: this.prefix, from: [side, side], to: [rows, columns], antialias: true },
            this.resampled,
          ),
        );
      }
      if (this.normPre !== null) x = this.normPre.forward(x);
      // Prompts have no place in the image, as the tokens in front of the patches.
      const { prompts, prefix } = this;
      const head = { prefix: prefix + (prompts?.count ?? 0), size: width / heads, like: x };
      const { sin, cos } = ropeTables(rope, [rows, columns], head);
      const blocks = this.blocks.map((block) => ({
        forward: (tokens: Tensor) =>
          checkpoint([block], (each, ...[s, c]) => block.run(each, { sin: s!, cos: c! }), tokens, [sin, cos]),
      }));
      if (prompts !== null) return prompts.through(blocks, x, prefix);
      for (const block of blocks) {
        const next = block.forward(x);
        x.dispose();
        x = next;
      }
      return x;
    });
  }

  private pooled(tokens: Tensor): Tensor {
    const normed = (x: Tensor) => (this.norm === null ? x : this.norm.forward(x));
    switch (this.shape.pool) {
      case 'token':
        return normed(tokens.select(1, 0));
      case 'map':
        return (this.attnPool as AttentionPool).forward(normed(tokens));
      case 'avg': {
        const patches = tokens.narrow(1, this.prefix, (tokens.shape[1] as number) - this.prefix);
        const mean = normed(patches).mean(1);
        return this.fcNorm === null ? mean : this.fcNorm.forward(mean);
      }
    }
  }

  protected layersByDepth(): nn.Module[][] {
    const last = [this.norm, this.attnPool, this.fcNorm].filter((layer) => layer !== null);
    const first = this.normPre === null ? [this.patchEmbed] : [this.patchEmbed, this.normPre];
    return [first, ...this.blocks.map((block) => [block]), last];
  }

  override parametersByDepth(): Tensor[][] {
    const [first = [], ...others] = super.parametersByDepth();
    const own = [this.clsToken, this.regToken, this.posEmbed].filter((tensor) => tensor !== null);
    const layers = [[...first, ...own], ...others];
    layers.at(-1)?.push(...(this.prompts?.parameters() ?? []));
    return layers;
  }

  override get tokenShape(): TokenShape {
    const { width, depth, patch } = this.shape;
    return { width, depth, patch };
  }
}

export const eva = family({
  name: 'vit_small_patch16_dinov3.lvd1689m',
  help: 'vision transformers with rotary positions: DINOv3, EVA-02, Perception Encoder',
  published: evaWeights,
  batchNorm: false,
  poolsItself: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new Eva(name, shape, input, { ...context, ...options }),
});
