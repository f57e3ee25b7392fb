import { aten, empty, F, nn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { InputFormat } from '../../input-format.js';
import { joinHeads, splitHeads } from '../../layers/attention.js';
import { type LayerOptions, transformerLinear } from '../../layers/layer-options.js';
import { Mlp } from '../../layers/mlp.js';
import { runStage } from '../../layers/residual-blocks.js';
import { plusShortcut } from '../../layers/shortcut.js';
import { shiftMask, windowsOf, withoutWindows } from '../../layers/windows.js';
import type { KeyMap } from '../../weights/key-map.js';
import type { Naming } from '../../weights/naming.js';
import { Backbone, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { swinNamings } from './swin-naming.js';
import type { SwinShape } from './swin-shape.js';
import { swinWeights } from './swin-weights.js';

const PATCH = 4;

type Pair = readonly [number, number];

/** Attention within a window, with a learned summand for each distance within it and each head. */
class WindowAttention extends nn.Module {
  readonly relativePositionBiasTable: Tensor;
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;

  constructor(
    private readonly width: number,
    private readonly heads: number,
    private readonly window: Pair,
    options: LayerOptions,
  ) {
    super();
    const { generator, device } = options;
    const distances = (2 * window[0] - 1) * (2 * window[1] - 1);
    this.relativePositionBiasTable = nn.parameter(empty([distances, heads], { device }));
    nn.init.truncNormal_(this.relativePositionBiasTable, { std: 0.02, generator });
    this.qkv = transformerLinear(width, 3 * width, options);
    this.proj = transformerLinear(width, width, options);
  }

  /**
   * @param x tokens (windows, N, width)
   * @param mask (windows of an image, N, N), -100 between tokens that are not neighbours; null: none
   */
  run(x: Tensor, mask: Tensor | null): Tensor {
    return scope(() => {
      const [windows = 0, tokens = 0] = x.shape;
      const qkv = this.qkv.forward(x);
      const part = (i: number) => splitHeads(qkv.narrow(-1, i * this.width, this.width), this.heads);
      const distances = this.distances().unsqueeze(0);
      const attnMask =
        mask === null
          ? distances
          : distances
              .add(mask.unsqueeze(1))
              .unsqueeze(0)
              .expand([windows / mask.size(0), -1, -1, -1, -1])
              .reshape([windows, this.heads, tokens, tokens]);
      const seen = F.scaledDotProductAttention(part(0), part(1), part(2), { attnMask });
      return this.proj.forward(joinHeads(seen));
    });
  }

  /** (heads, N, N): the table's row for each pair of places. */
  private distances(): Tensor {
    const [height, width] = this.window;
    const tokens = height * width;
    const rows = new BigInt64Array(tokens * tokens);
    for (let a = 0; a < tokens; a++) {
      for (let b = 0; b < tokens; b++) {
        const down = Math.floor(a / width) - Math.floor(b / width) + height - 1;
        const across = (a % width) - (b % width) + width - 1;
        rows[a * tokens + b] = BigInt(down * (2 * width - 1) + across);
      }
    }
    const { device } = this.relativePositionBiasTable;
    const index = tensor(rows, { dtype: 'int64', device });
    return this.relativePositionBiasTable
      .indexSelect(0, index)
      .view([tokens, tokens, this.heads])
      .permute([2, 0, 1]);
  }
}

/** Window attention, then an MLP, each behind a LayerNorm and with a shortcut; every second block's windows are shifted. */
class Block extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: WindowAttention;
  readonly norm2: nn.LayerNorm;
  readonly mlp: Mlp;
  private readonly dropPath: nn.DropPath;

  constructor(
    width: number,
    heads: number,
    private readonly window: Pair,
    private readonly shift: Pair,
    eps: number,
    options: LayerOptions,
  ) {
    super();
    const { device } = options;
    this.norm1 = new nn.LayerNorm(width, { eps, device });
    this.attn = new WindowAttention(width, heads, window, options);
    this.norm2 = new nn.LayerNorm(width, { eps, device });
    this.mlp = new Mlp(width, 4 * width, 'gelu', options);
    this.dropPath = new nn.DropPath(0, { generator: options.dropoutGenerator });
  }

  /** Maps (B, H, W, width). */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const seen = this.dropPath.forward(this.attended(this.norm1.forward(x))).add(x);
      return plusShortcut(this.dropPath.forward(this.mlp.forward(this.norm2.forward(seen))), seen);
    });
  }

  private attended(x: Tensor): Tensor {
    const { window, shift } = this;
    const isShifted = shift[0] > 0 || shift[1] > 0;
    const moved = isShifted ? aten.roll(x, [-shift[0], -shift[1]], [1, 2]) : x;
    const [batch = 0, height = 0, width = 0, channels = 0] = moved.shape;
    const below = (window[0] - (height % window[0])) % window[0];
    const right = (window[1] - (width % window[1])) % window[1];
    const padded = below + right > 0 ? aten.constant_pad_nd(moved, [0, 0, 0, right, 0, below]) : moved;
    const sides = [height + below, width + right] as const;
    const windows = windowsOf(padded, window);
    const mask = isShifted ? shiftMask(sides, window, shift, x) : null;
    const whole = withoutWindows(this.attn.run(windows, mask), [batch, ...sides, channels], window);
    const cut = whole.narrow(1, 0, height).narrow(2, 0, width);
    return isShifted ? aten.roll(cut, [...shift], [1, 2]) : cut;
  }
}

/** Four neighbours become one token of twice the channels. */
class PatchMerging extends nn.Module {
  readonly norm: nn.LayerNorm;
  readonly reduction: nn.Linear;

  constructor(width: number, eps: number, options: LayerOptions) {
    super();
    this.norm = new nn.LayerNorm(4 * width, { eps, device: options.device });
    this.reduction = transformerLinear(4 * width, 2 * width, { ...options, bias: false });
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
      const padded =
        height % 2 || width % 2 ? aten.constant_pad_nd(x, [0, 0, 0, width % 2, 0, height % 2]) : x;
      const half = [Math.ceil(height / 2), Math.ceil(width / 2)] as const;
      const neighbours = padded
        .reshape([batch, half[0], 2, half[1], 2, channels])
        .permute([0, 1, 3, 4, 2, 5])
        .flatten(3);
      return this.reduction.forward(this.norm.forward(neighbours));
    });
  }
}

class Stage extends nn.Module {
  readonly downsample: PatchMerging | null;
  readonly blocks: Block[];

  constructor(stage: number, shape: SwinShape, options: LayerOptions) {
    super();
    const { size, depths, heads, width, window, eps = 1e-5 } = shape;
    const channels = width * 2 ** stage;
    this.downsample = stage === 0 ? null : new PatchMerging(channels / 2, eps, options);
    const sides = size.map((side) => Math.floor(side / PATCH / 2 ** stage)) as [number, number];
    const windows = sides.map((side) => Math.min(side, window)) as [number, number];
    // Where a window holds the whole side, there is nothing to shift.
    const shifts = sides.map((side, i) => (side <= (windows[i] as number) ? 0 : Math.floor(window / 2))) as [
      number,
      number,
    ];
    this.blocks = Array.from(
      { length: depths[stage] ?? 1 },
      (_, i) => new Block(channels, heads[stage] ?? 1, windows, i % 2 ? shifts : [0, 0], eps, options),
    );
  }
}

/** The images' patches as maps (B, H / 4, W / 4, width), normalised. */
class PatchEmbedding extends nn.Module {
  readonly proj: nn.Conv2d;
  readonly norm: nn.LayerNorm;

  constructor(width: number, eps: number, { generator, skipInit, device }: LayerOptions) {
    super();
    this.proj = new nn.Conv2d(3, width, PATCH, { stride: PATCH, generator, skipInit, device });
    this.norm = new nn.LayerNorm(width, { eps, device });
  }

  forward(images: Tensor): Tensor {
    return scope(() => this.norm.forward(this.proj.forward(images).permute([0, 2, 3, 1])));
  }
}

/** A Swin transformer without its classifier, in timm's names. Its feature is a vector: the mean over the normalised map. */
export class Swin extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly featureSize: number;
  readonly classifierPrefixes = ['head.'];
  // timm's own names are a naming, too: what can be computed is in some of its files.
  override readonly keyMaps: readonly KeyMap[] = [];
  override readonly namings: readonly Naming[] = swinNamings;
  override readonly smallestSide = PATCH;
  readonly patchEmbed: PatchEmbedding;
  readonly layers: Stage[];
  readonly norm: nn.LayerNorm;

  constructor(
    readonly name: string,
    shape: SwinShape,
    readonly input: InputFormat,
    { generator, dropoutGenerator, skipInit, device, dropPath = 0 }: DropPathContext = {},
  ) {
    super();
    const { width, depths, eps = 1e-5 } = shape;
    const options = { generator, dropoutGenerator, skipInit, device };
    this.featureSize = width * 2 ** (depths.length - 1);
    this.patchEmbed = new PatchEmbedding(width, eps, options);
    this.layers = depths.map((_, stage) => new Stage(stage, shape, options));
    this.norm = new nn.LayerNorm(this.featureSize, { eps, device });
    this.setDropPath(dropPath);
  }

  override takesSide(side: number): boolean {
    return side > 0 && side % PATCH === 0;
  }

  /** Images (B, 3, H, W) to (B, featureSize). */
  features(images: Tensor): Tensor {
    return scope(() => this.norm.forward(runStage(this.all(), images)).mean([1, 2]));
  }

  private all(): nn.Layer[] {
    const stages = this.layers.flatMap(({ downsample, blocks }) =>
      downsample === null ? blocks : [downsample, ...blocks],
    );
    return [this.patchEmbed, ...stages];
  }

  protected layersByDepth(): nn.Module[][] {
    return [...this.all().map((layer) => [layer]), [this.norm]];
  }
}

export const swin = family({
  name: 'swin_tiny_patch4_window7_224.ms_in1k',
  help: 'Swin transformers, MegaDescriptor among them',
  published: swinWeights,
  batchNorm: false,
  poolsItself: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new Swin(name, shape, input, { ...context, ...options }),
});
