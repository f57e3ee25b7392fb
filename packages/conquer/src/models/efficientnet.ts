import { aten, nn, scope, type Tensor } from '@conquer-dml/torch';
import { type Activation, activate } from './activation.js';
import { Backbone, type BackboneContext } from './backbone.js';
import type { EfficientNetShape } from './efficientnet-shape.js';
import { type EfficientNetName, efficientNetWeights } from './efficientnet-weights.js';
import { family } from './family.js';
import type { InputFormat } from './input-format.js';
import type { KeyMap } from './key-map.js';
import { runStage } from './residual-blocks.js';

/** The stages of the smallest. */
const stages = [
  { blocks: 1, kernel: 3, stride: 1, expansion: 1, channels: 16 },
  { blocks: 2, kernel: 3, stride: 2, expansion: 6, channels: 24 },
  { blocks: 2, kernel: 5, stride: 2, expansion: 6, channels: 40 },
  { blocks: 3, kernel: 3, stride: 2, expansion: 6, channels: 80 },
  { blocks: 3, kernel: 5, stride: 1, expansion: 6, channels: 112 },
  { blocks: 4, kernel: 5, stride: 2, expansion: 6, channels: 192 },
  { blocks: 1, kernel: 3, stride: 1, expansion: 6, channels: 320 },
] as const;
const STEM = 32;
const HEAD = 1280;

/** To a multiple of 8, not more than a tenth below. */
function channelsOf(smallest: number, width: number): number {
  const wanted = smallest * width;
  const rounded = Math.max(8, Math.floor(wanted / 8 + 0.5) * 8);
  return rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

interface LayerSettings extends BackboneContext {
  tf: boolean;
  activation: Activation;
}

/** A convolution without bias, BatchNorm, and perhaps the activation. */
class Unit {
  readonly convolution: nn.Conv2d;
  readonly norm: nn.BatchNorm2d;
  /** Of the sides, where they are not alike. */
  private readonly same: { kernel: number; stride: number } | null;

  constructor(
    inChannels: number,
    outChannels: number,
    { kernel, stride, groups = 1 }: { kernel: number; stride: number; groups?: number },
    { tf, frozenBatchNorm: frozen, generator, device }: LayerSettings,
  ) {
    this.same = tf && stride > 1 ? { kernel, stride } : null;
    const padding = this.same ? 0 : (kernel - 1) / 2;
    this.convolution = new nn.Conv2d(inChannels, outChannels, kernel, {
      ...{ stride, padding, groups, bias: false, generator, device },
    });
    const fanOut = (kernel * kernel * outChannels) / groups;
    nn.init.normal_(this.convolution.weight, 0, Math.sqrt(2 / fanOut), { generator });
    this.norm = new nn.BatchNorm2d(outChannels, { eps: tf ? 1e-3 : 1e-5, frozen, device });
  }

  forward(x: Tensor, activation: Activation | null): Tensor {
    return scope(() => {
      const maps = nn.convBatchNorm(this.padded(x), this.convolution, this.norm);
      return activation === null ? maps : activate(activation, maps);
    });
  }

  /** As many windows as the stride leaves of the pixels, rounded up; of an odd number of zeros more behind than before. */
  private padded(x: Tensor): Tensor {
    if (this.same === null) return x;
    const { kernel, stride } = this.same;
    const [height = 0, width = 0] = x.shape.slice(2);
    const zeros = (side: number) => Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side);
    const before = (side: number) => Math.floor(zeros(side) / 2);
    const sides = [width, height].flatMap((side) => [before(side), zeros(side) - before(side)]);
    return aten.constant_pad_nd(x, sides, 0);
  }
}

/** The weight of each channel, by what the whole map has of all of them (Hu et al., arXiv 1709.01507). */
class SqueezeExcite extends nn.Module {
  readonly convReduce: nn.Conv2d;
  readonly convExpand: nn.Conv2d;

  constructor(
    channels: number,
    inner: number,
    private readonly settings: LayerSettings,
  ) {
    super();
    const { generator, device } = settings;
    this.convReduce = new nn.Conv2d(channels, inner, 1, { generator, device });
    this.convExpand = new nn.Conv2d(inner, channels, 1, { generator, device });
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield ['conv_reduce', this.convReduce];
    yield ['conv_expand', this.convExpand];
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = activate(this.settings.activation, this.convReduce.forward(x.mean([2, 3], true)));
      return x.mul(this.convExpand.forward(inner).sigmoid());
    });
  }
}

interface BlockShape {
  inChannels: number;
  outChannels: number;
  kernel: number;
  stride: number;
  expansion: number;
  excite: boolean;
}

/** Widened, convolved channel by channel, weighted, and narrowed again; a shortcut where the shape stays. */
class Block extends nn.Module {
  private readonly widen: Unit | null;
  private readonly depthwise: Unit;
  private readonly excite: SqueezeExcite | null;
  private readonly narrow: Unit;
  private readonly shortcut: boolean;

  constructor(
    { inChannels, outChannels, kernel, stride, expansion, excite }: BlockShape,
    private readonly settings: LayerSettings,
  ) {
    super();
    const inner = inChannels * expansion;
    const single = { kernel: 1, stride: 1 };
    this.widen = expansion === 1 ? null : new Unit(inChannels, inner, single, settings);
    this.depthwise = new Unit(inner, inner, { kernel, stride, groups: inner }, settings);
    this.excite = excite ? new SqueezeExcite(inner, Math.round(inChannels / 4), settings) : null;
    this.narrow = new Unit(inner, outChannels, single, settings);
    this.shortcut = stride === 1 && inChannels === outChannels;
  }

  /** timm's names: `conv_pw`, `bn1`, … in the order of the layers. */
  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    const units: [string, Unit | null][] = [
      ['conv_pw', this.widen],
      ['conv_dw', this.depthwise],
      [this.widen === null ? 'conv_pw' : 'conv_pwl', this.narrow],
    ];
    let norms = 0;
    for (const [name, unit] of units) {
      if (unit === null) continue;
      yield [name, unit.convolution];
      yield [`bn${++norms}`, unit.norm];
      if (unit === this.depthwise && this.excite !== null) yield ['se', this.excite];
    }
  }

  forward(x: Tensor): Tensor {
    const { activation } = this.settings;
    return scope(() => {
      const widened = this.widen === null ? x : this.widen.forward(x, activation);
      const convolved = this.depthwise.forward(widened, activation);
      const weighted = this.excite === null ? convolved : this.excite.forward(convolved);
      const narrowed = this.narrow.forward(weighted, null);
      return this.shortcut ? narrowed.add(x) : narrowed;
    });
  }
}

/** An EfficientNet without its classifier, in timm's names. */
export class EfficientNet extends Backbone {
  readonly featureSize: number;
  readonly classifierPrefixes = ['classifier.', '_fc.'];
  override readonly keyMaps: readonly KeyMap[];
  private readonly stem: Unit;
  private readonly blocks: readonly (readonly Block[])[];
  private readonly head: Unit;
  private readonly activation: Activation;

  constructor(
    readonly name: string,
    shape: EfficientNetShape,
    readonly input: InputFormat,
    { frozenBatchNorm = false, generator, device }: Partial<BackboneContext> = {},
  ) {
    super();
    const { width, depth, lite = false, tf = false } = shape;
    this.activation = lite ? 'relu6' : 'silu';
    const settings = { frozenBatchNorm, generator, device, tf, activation: this.activation };
    const stem = channelsOf(STEM, lite ? 1 : width);
    this.featureSize = channelsOf(HEAD, lite ? 1 : width);
    this.stem = new Unit(3, stem, { kernel: 3, stride: 2 }, settings);
    let inChannels = stem;
    this.blocks = stages.map(({ blocks, kernel, stride, expansion, channels }, at) => {
      const isOuter = at === 0 || at === stages.length - 1;
      const outChannels = channelsOf(channels, width);
      const count = lite && isOuter ? blocks : Math.ceil(blocks * depth);
      return Array.from({ length: count }, (_, i) => {
        const block = { kernel, expansion, outChannels, inChannels, excite: !lite };
        inChannels = outChannels;
        return new Block({ ...block, stride: i === 0 ? stride : 1 }, settings);
      });
    });
    this.head = new Unit(inChannels, this.featureSize, { kernel: 1, stride: 1 }, settings);
    this.keyMaps = [{ ownName: (stored) => stored }, flatNames(this.blocks)];
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield ['conv_stem', this.stem.convolution];
    yield ['bn1', this.stem.norm];
    for (const [s, stage] of this.blocks.entries())
      for (const [i, block] of stage.entries()) yield [`blocks.${s}.${i}`, block];
    yield ['conv_head', this.head.convolution];
    yield ['bn2', this.head.norm];
  }

  /** Images (B, 3, H, W) to (B, featureSize, H / 32, W / 32), rounded up. */
  features(images: Tensor): Tensor {
    const { activation } = this;
    return scope(() => {
      const stem = this.stem.forward(images, activation);
      return this.head.forward(runStage(this.blocks.flat(), stem), activation);
    });
  }

  protected layersByDepth(): nn.Module[][] {
    const of = ({ convolution, norm }: Unit) => [convolution, norm];
    return [of(this.stem), ...this.blocks.flat().map((block) => [block]), of(this.head)];
  }
}

/** The names in the first conversions to PyTorch, which counts the blocks through: `_blocks.3._expand_conv.weight`. */
function flatNames(blocks: readonly (readonly Block[])[]): KeyMap {
  const places = blocks.flatMap((stage, s) =>
    stage.map((_, i) => ({ prefix: `blocks.${s}.${i}.`, first: s === 0 })),
  );
  const outside: Record<string, string> = {
    _conv_stem: 'conv_stem',
    _bn0: 'bn1',
    _conv_head: 'conv_head',
    _bn1: 'bn2',
  };
  const widened: Record<string, string> = {
    ...{ _expand_conv: 'conv_pw', _bn0: 'bn1', _depthwise_conv: 'conv_dw', _bn1: 'bn2' },
    ...{ _project_conv: 'conv_pwl', _bn2: 'bn3', _se_reduce: 'se.conv_reduce', _se_expand: 'se.conv_expand' },
  };
  const first: Record<string, string> = {
    ...widened,
    _depthwise_conv: 'conv_dw',
    _bn1: 'bn1',
    _project_conv: 'conv_pw',
    _bn2: 'bn2',
  };
  return {
    ownName: (stored) => {
      const [, block, layer = '', rest = ''] =
        /^(?:_blocks\.(\d+)\.)?(_[a-z0-9_]+)\.(\w+)$/.exec(stored) ?? [];
      const place = block === undefined ? null : places[Number(block)];
      if (place === undefined) return stored;
      const name = (place === null ? outside : place.first ? first : widened)[layer];
      return name === undefined ? stored : `${place?.prefix ?? ''}${name}.${rest}`;
    },
  };
}

export const efficientNet = family<EfficientNetName, EfficientNetShape, EfficientNet>({
  name: 'efficientnet_b0.ra_in1k',
  help: 'EfficientNet and EfficientNet-Lite',
  published: efficientNetWeights,
  batchNorm: true,
  build: ({ name, shape, input }, context) => new EfficientNet(name, shape, input, context),
});
