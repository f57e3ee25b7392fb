import { cat, checkpoint, empty, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { InputFormat } from '../../input-format.js';
import { Attention } from '../../layers/attention.js';
import { AttentionPool } from '../../layers/attention-pool.js';
import { type LayerOptions, transformerLinear } from '../../layers/layer-options.js';
import { Mlp } from '../../layers/mlp.js';
import { PatchEmbedding } from '../../layers/patch-embedding.js';
import { resamplePositions } from '../../layers/position-table.js';
import { runStage } from '../../layers/residual-blocks.js';
import { plusShortcut } from '../../layers/shortcut.js';
import type { TokenShape } from '../../tunings/prompts.js';
import type { Naming } from '../../weights/naming.js';
import type { TransformersForm } from '../../weights/transformers-form.js';
import { Backbone, type BackboneContext, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { clipWeights } from './clip-weights.js';
import { siglipWeights } from './siglip-weights.js';
import { vitTransformersForm } from './vit-config.js';
import { vitNamings } from './vit-naming.js';
import type { ViTShape } from './vit-shape.js';
import { vitWeights } from './vit-weights.js';

/** x · gamma, gamma of each channel. */
class LayerScale extends nn.Module {
  readonly gamma: Tensor;

  constructor(width: number, { device }: LayerOptions) {
    super();
    this.gamma = nn.init.constant_(nn.parameter(empty([width], { device })), 1e-5);
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.gamma);
  }
}

interface BlockShape
  extends Required<
    Pick<ViTShape, 'width' | 'heads' | 'mlp' | 'qkvBias' | 'layerScale' | 'activation' | 'eps'>
  > {
  /** How often training leaves out attention, and the MLP. */
  dropPath: number;
}

/** Attention, then an MLP, each behind a LayerNorm and with a shortcut. */
class Block extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: Attention;
  readonly ls1: LayerScale | null;
  readonly norm2: nn.LayerNorm;
  readonly mlp: Mlp;
  readonly ls2: LayerScale | null;
  private readonly dropPath: nn.DropPath;

  constructor(
    { width, heads, mlp, qkvBias, layerScale, activation, eps, dropPath }: BlockShape,
    { dropoutGenerator, ...options }: LayerOptions & Pick<BackboneContext, 'dropoutGenerator'>,
  ) {
    super();
    const { device } = options;
    this.norm1 = new nn.LayerNorm(width, { eps, device });
    this.attn = new Attention({ width, heads, bias: qkvBias }, options);
    this.ls1 = layerScale ? new LayerScale(width, options) : null;
    this.norm2 = new nn.LayerNorm(width, { eps, device });
    this.mlp = new Mlp(width, mlp, activation, options);
    this.ls2 = layerScale ? new LayerScale(width, options) : null;
    this.dropPath = new nn.DropPath(dropPath, { generator: dropoutGenerator });
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const looked = scaled(this.attn.forward(this.norm1.forward(x)), this.ls1);
      const seen = plusShortcut(this.dropPath.forward(looked), x);
      const thought = scaled(this.mlp.forward(this.norm2.forward(seen)), this.ls2);
      return plusShortcut(this.dropPath.forward(thought), seen);
    });
  }
}

const scaled = (x: Tensor, layerScale: LayerScale | null) =>
  layerScale === null ? x : layerScale.forward(x);

/**
 * A vision transformer with learned positions, without its classifier, in timm's names. Its feature is a vector: pooling is its
 * family's own.
 */
export class ViT extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly featureSize: number;
  readonly classifierPrefixes = ['head.', 'fc_norm.'];
  override readonly namings: readonly Naming[] = vitNamings;
  override readonly transformersForm: TransformersForm | null;
  override readonly smallestSide: number;
  readonly clsToken: Tensor | null;
  readonly regToken: Tensor | null;
  readonly posEmbed: Tensor;
  readonly patchEmbed: PatchEmbedding;
  readonly normPre: nn.LayerNorm | null;
  readonly blocks: Block[];
  readonly norm: nn.LayerNorm;
  readonly attnPool: AttentionPool | null;
  readonly head: nn.Linear | null;
  private readonly prefix: number;
  private readonly resampled = new nn.Derived<Tensor>();

  constructor(
    readonly name: string,
    readonly shape: ViTShape,
    readonly input: InputFormat,
    { generator, dropoutGenerator, skipInit, device, dropPath = 0 }: DropPathContext = {},
  ) {
    super();
    const { patch, size, width, depth, heads, classToken = true, registers = 0, preNorm = false } = shape;
    const { mlp = 4 * width, qkvBias = true, layerScale = false, activation = 'gelu', eps = 1e-6 } = shape;
    const options = { generator, skipInit, device };
    const grid = Math.floor(size / patch);
    const token = (count: number) =>
      nn.init.normal_(nn.parameter(empty([1, count, width], { device })), 0, 1e-6, { generator });
    this.smallestSide = patch;
    this.transformersForm = vitTransformersForm(shape);
    this.prefix = (classToken ? 1 : 0) + registers;
    this.clsToken = classToken ? token(1) : null;
    this.regToken = registers > 0 ? token(registers) : null;
    const positions = grid ** 2 + (shape.prefixPositions === false ? 0 : this.prefix);
    this.posEmbed = nn.parameter(empty([1, positions, width], { device }));
    nn.init.truncNormal_(this.posEmbed, { std: 0.02, generator });
    this.patchEmbed = new PatchEmbedding(patch, width, !preNorm, options);
    const norm = () => new nn.LayerNorm(width, { eps, device });
    this.normPre = preNorm ? norm() : null;
    this.blocks = nn.dropPathRates(dropPath, depth).map((rate) => {
      const block = { width, heads, mlp, qkvBias, layerScale, activation, eps, dropPath: rate };
      return new Block(block, { ...options, dropoutGenerator });
    });
    this.norm = norm();
    this.attnPool =
      shape.pool === 'map' ? new AttentionPool({ width, heads, mlp, eps, activation }, options) : null;
    const { projection = null } = shape;
    this.head =
      projection === null
        ? null
        : transformerLinear(width, projection.dim, { ...options, bias: projection.bias });
    this.featureSize = projection?.dim ?? width;
  }

  override takesSide(side: number): boolean {
    return side > 0 && side % this.shape.patch === 0;
  }

  /** Images (B, 3, H, W) to (B, featureSize). */
  features(images: Tensor): Tensor {
    return this.through(images, 0, this.layersByDepth().length);
  }

  /** Between the first and the last layer there are tokens (B, N, width), class token and registers first. */
  override through(x: Tensor, from: number, to: number): Tensor {
    const { length } = this.blocks;
    return scope(() => {
      const tokens = scope(() =>
        this.inBlocks(
          this.blocks.slice(Math.max(from - 1, 0), to - 1),
          from === 0 ? scope(() => this.embedded(x)) : x,
        ),
      );
      if (to <= length + 1) return tokens;
      const pooled = this.pooled(tokens);
      return this.head === null ? pooled : this.head.forward(pooled);
    });
  }

  private inBlocks(blocks: readonly Block[], tokens: Tensor): Tensor {
    const { prompts, prefix } = this;
    if (prompts === null) return runStage(blocks, tokens);
    const steps = blocks.map((block) => ({
      forward: (x: Tensor) => checkpoint([block], (each) => block.forward(each), x),
    }));
    return prompts.through(steps, tokens, prefix);
  }

  private embedded(images: Tensor): Tensor {
    const { size, patch, prefixPositions = true, antialias = true } = this.shape;
    const maps = this.patchEmbed.forward(images);
    const [batch = 0, , rows = 0, columns = 0] = maps.shape;
    const side = Math.floor(size / patch);
    const positions = resamplePositions(
      this.posEmbed,
      {
        prefix: prefixPositions ? this.prefix : 0,
        from: [side, side],
        to: [rows, columns],
        antialias,
      },
      this.resampled,
    );
    const patches = maps.flatten(2).transpose(1, 2);
    const front = [this.clsToken, this.regToken].flatMap((token) =>
      token === null ? [] : [token.expand([batch, -1, -1])],
    );
    const tokens = prefixPositions
      ? cat([...front, patches], 1).add_(positions)
      : cat([...front, patches.add(positions)], 1);
    return this.normPre === null ? tokens : this.normPre.forward(tokens);
  }

  /** The last norm is of each token by itself: what is left out of the feature need not go through it. */
  private pooled(tokens: Tensor): Tensor {
    switch (this.shape.pool ?? 'token') {
      case 'token':
        return this.norm.forward(tokens.select(1, 0));
      case 'avg':
        return this.norm.forward(this.patches(tokens)).mean(1);
      case 'map':
        return (this.attnPool as AttentionPool).forward(this.norm.forward(this.patches(tokens)));
    }
  }

  private patches(tokens: Tensor): Tensor {
    return tokens.narrow(1, this.prefix, (tokens.shape[1] as number) - this.prefix);
  }

  protected layersByDepth(): nn.Module[][] {
    const last = [this.norm, this.attnPool, this.head].filter((layer) => layer !== null);
    const first = this.normPre === null ? [this.patchEmbed] : [this.patchEmbed, this.normPre];
    return [first, ...this.blocks.map((block) => [block]), last];
  }

  override parametersByDepth(): Tensor[][] {
    const layers = super.parametersByDepth();
    layers[0]?.push(...this.ownTokens());
    layers.at(-1)?.push(...(this.prompts?.parameters() ?? []));
    return layers;
  }

  override get tokenShape(): TokenShape {
    const { width, depth, patch } = this.shape;
    return { width, depth, patch };
  }

  private ownTokens(): Tensor[] {
    return [this.clsToken, this.regToken, this.posEmbed].filter((tensor) => tensor !== null);
  }
}

const weights = [...vitWeights, ...clipWeights, ...siglipWeights];
type ViTName = (typeof weights)[number]['name'];

export const vit = family<ViTName, ViTShape, ViT, { dropPath: typeof dropPathOption }>({
  name: 'vit_small_patch14_dinov2.lvd142m',
  help: 'vision transformers: augreg, DeiT, DINO, DINOv2, CLIP, SigLIP, TIPSv2',
  published: weights,
  batchNorm: false,
  poolsItself: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new ViT(name, shape, input, { ...context, ...options }),
});
