import { aten, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { BackboneContext } from '../backbones/backbone.js';
import type { BlockPlan } from '../backbones/efficientnet/efficientnet-plan.js';
import { type Activation, activate, activateInPlace } from './activation.js';

/** What all blocks of a network have in common. */
export interface BlockContext extends Partial<BackboneContext> {
  activation: Activation;
  /** Pads as TensorFlow does: of an odd number of zeros one more at the right and at the bottom. */
  same: boolean;
  /** Of `same`, in place of the size that comes: the zeros that maps of an even or an odd size would get. */
  paddedAs?: BlockPlan['paddedAs'];
  /** Added to variances. */
  eps: number;
  /** The gate of squeeze and excitation; the activation before it where it is a hard one is ReLU. */
  gate: 'sigmoid' | 'hard-sigmoid';
}

/** A convolution without bias whose padding keeps the size, or divides it by the stride. */
export class PaddedConv extends nn.Conv2d {
  private readonly same: boolean;
  private readonly paddedAs: BlockPlan['paddedAs'];

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly size: number,
    private readonly stride: number,
    {
      groups = 1,
      same,
      paddedAs = null,
      generator,
      skipInit = false,
      device,
    }: { groups?: number } & BlockContext,
  ) {
    // An odd kernel without a stride is padded alike at both sides, by either rule.
    const explicit = same && stride > 1;
    const padding = explicit ? 0 : Math.floor((size - 1) / 2);
    super(inChannels, outChannels, size, { stride, padding, groups, bias: false, skipInit: true, device });
    this.same = explicit;
    this.paddedAs = paddedAs;
    const std = Math.sqrt((2 * groups) / (size * size * outChannels));
    if (!skipInit) nn.init.normal_(this.weight, 0, std, { generator });
  }

  /** The zeros around x that the convolution does not add itself; null: it adds all. */
  zerosAround(x: Tensor): nn.Zeros | null {
    if (!this.same) return null;
    const parity = { even: 0, odd: 1 };
    const lacking = (given: number) => {
      const side = this.paddedAs === null ? given : this.stride * this.size + parity[this.paddedAs];
      return Math.max((Math.ceil(side / this.stride) - 1) * this.stride + this.size - side, 0);
    };
    const [height, width] = [x.size(2), x.size(3)].map(lacking) as [number, number];
    const before = (pixels: number) => Math.floor(pixels / 2);
    const [top, left] = [before(height), before(width)];
    return { top, bottom: height - top, left, right: width - left };
  }
}

/** Convolution and BatchNorm, and what follows: what is added, and the activation where there is one. */
export function convolved(
  x: Tensor,
  convolution: PaddedConv,
  norm: nn.BatchNorm2d,
  activation: Activation | null,
  added: Tensor | null = null,
): Tensor {
  const zeros = convolution.zerosAround(x);
  if (activation === null || activation === 'relu' || activation === 'relu6')
    return nn.convBatchNorm(x, convolution, norm, { zeros, added, activation });
  return scope(() => activateInPlace(activation, nn.convBatchNorm(x, convolution, norm, { zeros, added })));
}

/** The last convolution of a block, with its shortcut from x where it has one. */
function closed(
  inner: Tensor,
  convolution: PaddedConv,
  norm: nn.BatchNorm2d,
  dropPath: nn.DropPath | null,
  x: Tensor,
): Tensor {
  if (dropPath === null) return convolved(inner, convolution, norm, null);
  if (!dropPath.drops) return convolved(inner, convolution, norm, null, x);
  return scope(() => dropPath.forward(convolved(inner, convolution, norm, null)).add_(x));
}

export const batchNorm = (channels: number, { frozenBatchNorm: frozen = false, eps, device }: BlockContext) =>
  new nn.BatchNorm2d(channels, { frozen, eps, device });

/** Squeeze and excitation: each channel times a gate that sees the means of all (Hu et al., arXiv 1709.01507). */
class SqueezeExcite extends nn.Module {
  readonly convReduce: nn.Conv2d;
  readonly convExpand: nn.Conv2d;
  private readonly activation: Activation;
  private readonly gate: BlockContext['gate'];

  constructor(channels: number, reduced: number, { activation, gate, generator, device }: BlockContext) {
    super();
    const pointwise = (from: number, to: number) => {
      const layer = new nn.Conv2d(from, to, 1, { generator, device });
      nn.init.normal_(layer.weight, 0, Math.sqrt(2 / to), { generator });
      nn.init.constant_(layer.bias as Tensor, 0);
      return layer;
    };
    this.convReduce = pointwise(channels, reduced);
    this.convExpand = pointwise(reduced, channels);
    this.activation = gate === 'sigmoid' ? activation : 'relu';
    this.gate = gate;
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = activate(this.activation, this.convReduce.forward(x.mean([2, 3], true)));
      const open = this.convExpand.forward(inner);
      return x.mul(this.gate === 'sigmoid' ? open.sigmoid() : aten.hardsigmoid(open));
    });
  }
}

const dropPathOf = ({ dropoutGenerator }: BlockContext) =>
  new nn.DropPath(0, { generator: dropoutGenerator });

/** A convolution of each channel by itself, then a 1x1 one; with a shortcut where input and output have one shape. */
export class DepthwiseSeparable extends nn.Module {
  readonly convDw: PaddedConv;
  readonly bn1: nn.BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly convPw: PaddedConv;
  readonly bn2: nn.BatchNorm2d;
  private readonly activation: Activation;
  /** In front of the shortcut; null: there is none. */
  private readonly dropPath: nn.DropPath | null;

  constructor(
    inChannels: number,
    { kernel, stride, channels, squeezed, activation, paddedAs }: BlockPlan,
    given: BlockContext,
  ) {
    super();
    const context = { ...given, activation: activation ?? given.activation, paddedAs };
    this.activation = context.activation;
    this.dropPath = stride === 1 && inChannels === channels ? dropPathOf(context) : null;
    this.convDw = new PaddedConv(inChannels, inChannels, kernel, stride, { ...context, groups: inChannels });
    this.bn1 = batchNorm(inChannels, context);
    this.se = squeezed === null ? null : new SqueezeExcite(inChannels, squeezed, context);
    this.convPw = new PaddedConv(inChannels, channels, 1, 1, context);
    this.bn2 = batchNorm(channels, context);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const each = convolved(x, this.convDw, this.bn1, this.activation);
      const gated = this.se === null ? each : this.se.forward(each);
      return closed(gated, this.convPw, this.bn2, this.dropPath, x);
    });
  }
}

/** As DepthwiseSeparable, behind a 1x1 convolution to more channels (Sandler et al., arXiv 1801.04381). */
export class InvertedResidual extends nn.Module {
  readonly convPw: PaddedConv;
  readonly bn1: nn.BatchNorm2d;
  readonly convDw: PaddedConv;
  readonly bn2: nn.BatchNorm2d;
  readonly se: SqueezeExcite | null;
  readonly convPwl: PaddedConv;
  readonly bn3: nn.BatchNorm2d;
  private readonly activation: Activation;
  /** In front of the shortcut; null: there is none. */
  private readonly dropPath: nn.DropPath | null;

  constructor(
    inChannels: number,
    { kernel, stride, channels, expanded, squeezed, activation, paddedAs }: BlockPlan,
    given: BlockContext,
  ) {
    super();
    const context = { ...given, activation: activation ?? given.activation, paddedAs };
    this.activation = context.activation;
    this.dropPath = stride === 1 && inChannels === channels ? dropPathOf(context) : null;
    this.convPw = new PaddedConv(inChannels, expanded, 1, 1, context);
    this.bn1 = batchNorm(expanded, context);
    this.convDw = new PaddedConv(expanded, expanded, kernel, stride, { ...context, groups: expanded });
    this.bn2 = batchNorm(expanded, context);
    this.se = squeezed === null ? null : new SqueezeExcite(expanded, squeezed, context);
    this.convPwl = new PaddedConv(expanded, channels, 1, 1, context);
    this.bn3 = batchNorm(channels, context);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const wide = convolved(x, this.convPw, this.bn1, this.activation);
      const each = convolved(wide, this.convDw, this.bn2, this.activation);
      wide.dispose();
      const gated = this.se === null ? each : this.se.forward(each);
      return closed(gated, this.convPwl, this.bn3, this.dropPath, x);
    });
  }
}

/** Convolution, BatchNorm and activation. */
export class ConvolutionBlock extends nn.Module {
  readonly conv: PaddedConv;
  readonly bn1: nn.BatchNorm2d;
  private readonly activation: Activation;

  constructor(inChannels: number, { kernel, stride, channels }: BlockPlan, context: BlockContext) {
    super();
    this.activation = context.activation;
    this.conv = new PaddedConv(inChannels, channels, kernel, stride, context);
    this.bn1 = batchNorm(channels, context);
  }

  forward(x: Tensor): Tensor {
    return convolved(x, this.conv, this.bn1, this.activation);
  }
}
