import { aten, checkpoint, type Generator, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { LayerOptions } from './layer-options.js';

export interface BlockOptions extends LayerOptions {
  /** BatchNorm keeps its running statistics; its weight and bias still learn. */
  frozenBatchNorm?: boolean;
  /** How often training leaves out the convolutions, so that the shortcut alone stays; default 0. */
  dropPath?: number | undefined;
  dropoutGenerator?: Generator | undefined;
}

export interface BasicBlockOptions extends BlockOptions {
  /**
   * How the shortcut of a strided block shrinks: 'strided' as in torchvision (a 1x1 convolution that skips
   * pixels), 'average' averages them before the 1x1 convolution (He et al., arXiv 1812.01187, ResNet-D).
   */
  shortcut?: 'strided' | 'average';
}

/** A convolution without bias, initialised as torchvision's ResNets: Kaiming normal, fan out. */
export function convolution(
  inChannels: number,
  outChannels: number,
  kernelSize: number,
  stride: number,
  { generator, skipInit = false, device }: LayerOptions,
): nn.Conv2d {
  const layer = new nn.Conv2d(inChannels, outChannels, kernelSize, {
    stride,
    padding: Math.floor((kernelSize - 1) / 2),
    bias: false,
    generator,
    skipInit,
    device,
  });
  if (!skipInit) nn.init.kaimingNormal_(layer.weight, { mode: 'fanOut', nonlinearity: 'relu', generator });
  return layer;
}

/** Two 3x3 convolutions and a shortcut (ResNet-18 and -34). Parameter names are torchvision's. */
export class BasicBlock extends nn.Module {
  static readonly expansion = 1;
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: nn.BatchNorm2d;
  readonly downsample: nn.Sequential | null;
  private readonly dropPath: nn.DropPath;
  private readonly poolStride: number;

  constructor(inChannels: number, channels: number, stride: number, options: BasicBlockOptions = {}) {
    super();
    const { frozenBatchNorm: frozen = false, shortcut = 'strided', device } = options;
    this.poolStride = shortcut === 'average' ? stride : 1;
    this.conv1 = convolution(inChannels, channels, 3, stride, options);
    this.bn1 = new nn.BatchNorm2d(channels, { frozen, device });
    this.conv2 = convolution(channels, channels, 3, 1, options);
    this.bn2 = new nn.BatchNorm2d(channels, { frozen, device });
    this.downsample = projection(inChannels, channels, stride / this.poolStride, stride, options);
    this.dropPath = dropPathOf(options);
  }

  /** @param x (B, inChannels, h, w) */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = nn.convBatchNorm(x, this.conv1, this.bn1, relu);
      return withShortcut(this.dropPath, inner, this.conv2, this.bn2, this.identity(x));
    });
  }

  private identity(x: Tensor): Tensor {
    if (this.downsample === null) return x;
    const { poolStride: k } = this;
    if (k === 1) return this.downsample.forward(x);
    // Of an odd number of pixels the convolutions keep half, rounded up: the last window has fewer, and averages those.
    return this.downsample.forward(aten.avg_pool2d(x, [k, k], [k, k], [0, 0], true, false));
  }
}

/** 1x1, 3x3 and 1x1 convolutions and a shortcut (ResNet-50 and up); the stride sits in the 3x3, as in torchvision. */
export class Bottleneck extends nn.Module {
  static readonly expansion = 4;
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: nn.BatchNorm2d;
  readonly conv3: nn.Conv2d;
  readonly bn3: nn.BatchNorm2d;
  readonly downsample: nn.Sequential | null;
  private readonly dropPath: nn.DropPath;

  constructor(inChannels: number, channels: number, stride: number, options: BlockOptions = {}) {
    super();
    const { frozenBatchNorm: frozen = false, device } = options;
    const outChannels = channels * Bottleneck.expansion;
    this.conv1 = convolution(inChannels, channels, 1, 1, options);
    this.bn1 = new nn.BatchNorm2d(channels, { frozen, device });
    this.conv2 = convolution(channels, channels, 3, stride, options);
    this.bn2 = new nn.BatchNorm2d(channels, { frozen, device });
    this.conv3 = convolution(channels, outChannels, 1, 1, options);
    this.bn3 = new nn.BatchNorm2d(outChannels, { frozen, device });
    this.downsample = projection(inChannels, outChannels, stride, stride, options);
    this.dropPath = dropPathOf(options);
  }

  /** @param x (B, inChannels, h, w) */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const reduced = nn.convBatchNorm(x, this.conv1, this.bn1, relu);
      const inner = nn.convBatchNorm(reduced, this.conv2, this.bn2, relu);
      const shortcut = this.downsample === null ? x : this.downsample.forward(x);
      return withShortcut(this.dropPath, inner, this.conv3, this.bn3, shortcut);
    });
  }
}

const relu = { activation: 'relu' } as const;

/** A block's last convolution, what drop path leaves of it, the shortcut, ReLU. */
function withShortcut(
  dropPath: nn.DropPath,
  x: Tensor,
  convolution: nn.Conv2d,
  norm: nn.BatchNorm2d,
  added: Tensor,
): Tensor {
  if (!dropPath.drops) return nn.convBatchNorm(x, convolution, norm, { ...relu, added });
  return dropPath
    .forward(nn.convBatchNorm(x, convolution, norm))
    .add_(added)
    .relu_();
}

const dropPathOf = ({ dropPath = 0, dropoutGenerator }: BlockOptions) =>
  new nn.DropPath(dropPath, { generator: dropoutGenerator });

/** The shortcut's 1x1 convolution and BatchNorm, or null where input and output have one shape. */
function projection(
  inChannels: number,
  outChannels: number,
  convolutionStride: number,
  blockStride: number,
  options: BlockOptions,
): nn.Sequential | null {
  const { frozenBatchNorm: frozen = false, device } = options;
  if (blockStride === 1 && inChannels === outChannels) return null;
  return new nn.Sequential(
    convolution(inChannels, outChannels, 1, convolutionStride, options),
    new nn.BatchNorm2d(outChannels, { frozen, device }),
  );
}

/**
 * Runs a network of residual blocks in oneDNN's layout where it can: there is no product in that with a number for each
 * image, so that with drop path training stays in the plain one.
 */
export function inLayoutFor(images: Tensor, dropsPath: boolean, network: (x: Tensor) => Tensor): Tensor {
  return dropsPath ? scope(() => network(images)) : nn.inBlockedLayout(images, network);
}

/**
 * Runs x through a stage, block by block. What one block hands to the next is freed as soon as the next is done:
 * autograd keeps what backward needs.
 */
export const runStage = (blocks: readonly nn.Layer[], x: Tensor): Tensor =>
  runGroups(
    blocks.map((block) => [block]),
    x,
  );

/** The same, of blocks whose insides are computed again together where activations are not kept, so that less lies between them. */
export const runGroups = (groups: readonly (readonly nn.Layer[])[], x: Tensor): Tensor =>
  inTurn(groups, x, (group, given) =>
    checkpoint(group, (each) => inTurn(group, each, (block, input) => block.forward(input)), given),
  );

function inTurn<Part>(parts: readonly Part[], x: Tensor, run: (part: Part, x: Tensor) => Tensor): Tensor {
  let current = x;
  for (const part of parts) {
    const next = run(part, current);
    if (current !== x) current.dispose();
    current = next;
  }
  return current;
}
