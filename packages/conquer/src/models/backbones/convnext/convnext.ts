import { aten, empty, F, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { InputFormat } from '../../input-format.js';
import type { LayerOptions } from '../../layers/layer-options.js';
import { runStage } from '../../layers/residual-blocks.js';
import { plusShortcut } from '../../layers/shortcut.js';
import type { Naming } from '../../weights/naming.js';
import type { TransformersForm } from '../../weights/transformers-form.js';
import { Backbone, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { convnextNamings } from './convnext-naming.js';
import { type ConvNeXtShape, convnextTransformersForm } from './convnext-shape.js';
import { convnextWeights } from './convnext-weights.js';

const toChannelsLast = (x: Tensor) => x.permute([0, 2, 3, 1]);
const toChannelsFirst = (x: Tensor) => x.permute([0, 3, 1, 2]);

/** A LayerNorm over the channels of maps (B, C, H, W). */
class MapNorm extends nn.LayerNorm {
  override forward(x: Tensor): Tensor {
    return scope(() => toChannelsFirst(super.forward(toChannelsLast(x))));
  }
}

/** A linear layer over the channels, whose weight may have the form of a 1x1 convolution's: both are in published files. */
class Pointwise extends nn.Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(inChannels: number, outChannels: number, isConvolution: boolean, options: LayerOptions) {
    super();
    const { generator, skipInit = false, device } = options;
    const kernel = isConvolution ? [1, 1] : [];
    this.weight = nn.parameter(empty([outChannels, inChannels, ...kernel], { device }));
    if (!skipInit) nn.init.truncNormal_(this.weight, { std: 0.02, generator });
    this.bias = nn.init.constant_(nn.parameter(empty([outChannels], { device })), 0);
  }

  /** (..., inChannels) → (..., outChannels) */
  forward(x: Tensor): Tensor {
    return scope(() => F.linear(x, this.weight.flatten(1), this.bias));
  }
}

/** Global response normalisation of maps (B, H, W, C): channels compete (Woo et al., arXiv 2301.00808). */
class ResponseNorm extends nn.Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(channels: number, { device }: LayerOptions) {
    super();
    const zero = () => nn.init.constant_(nn.parameter(empty([channels], { device })), 0);
    this.weight = zero();
    this.bias = zero();
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const length = aten.norm$ScalarOpt_dim(x, 2, [1, 2], true);
      const share = length.div(length.mean([-1], true).add(1e-6));
      return aten.addcmul(this.bias, this.weight, x.mul(share)).add_(x);
    });
  }
}

class BlockMlp extends nn.Module {
  readonly fc1: Pointwise;
  readonly grn: ResponseNorm | null;
  readonly fc2: Pointwise;

  constructor(channels: number, { grn, convMlp }: ConvNeXtShape, options: LayerOptions) {
    super();
    this.fc1 = new Pointwise(channels, 4 * channels, convMlp ?? false, options);
    this.grn = grn ? new ResponseNorm(4 * channels, options) : null;
    this.fc2 = new Pointwise(4 * channels, channels, convMlp ?? false, options);
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = F.gelu(this.fc1.forward(x));
      return this.fc2.forward(this.grn === null ? inner : this.grn.forward(inner));
    });
  }
}

/** A 7x7 convolution of each channel by itself, a LayerNorm and an MLP over the channels, with a shortcut. */
class Block extends nn.Module {
  readonly convDw: nn.Conv2d;
  readonly norm: nn.LayerNorm;
  readonly mlp: BlockMlp;
  readonly gamma: Tensor | null;
  private readonly dropPath: nn.DropPath;

  constructor(channels: number, shape: ConvNeXtShape, options: LayerOptions) {
    super();
    const { eps = 1e-6, grn = false } = shape;
    this.convDw = convolution(channels, channels, 7, { padding: 3, groups: channels, ...options });
    this.norm = new nn.LayerNorm(channels, { eps, device: options.device });
    this.mlp = new BlockMlp(channels, shape, options);
    this.gamma = grn
      ? null
      : nn.init.constant_(nn.parameter(empty([channels], { device: options.device })), 1e-6);
    this.dropPath = new nn.DropPath(0, { generator: options.dropoutGenerator });
  }

  forward(x: Tensor): Tensor {
    return scope(() => {
      const inner = this.mlp.forward(this.norm.forward(toChannelsLast(this.convDw.forward(x))));
      const maps = toChannelsFirst(this.gamma === null ? inner : inner.mul(this.gamma));
      return plusShortcut(this.dropPath.forward(maps), x);
    });
  }
}

class Stage extends nn.Module {
  readonly downsample: nn.Sequential | null;
  readonly blocks: Block[];

  constructor(
    inChannels: number,
    channels: number,
    depth: number,
    shape: ConvNeXtShape,
    options: LayerOptions,
  ) {
    super();
    const { eps = 1e-6 } = shape;
    this.downsample =
      inChannels === channels
        ? null
        : new nn.Sequential(
            new MapNorm(inChannels, { eps, device: options.device }),
            convolution(inChannels, channels, 2, { stride: 2, ...options }),
          );
    this.blocks = Array.from({ length: depth }, () => new Block(channels, shape, options));
  }
}

/** What is left of the classifier: the norm behind the mean over the map. */
class Head extends nn.Module {
  readonly norm: nn.LayerNorm;

  constructor(channels: number, eps: number, { device }: LayerOptions) {
    super();
    this.norm = new nn.LayerNorm(channels, { eps, device });
  }
}

/** ConvNeXt and ConvNeXt V2 without the classifier, in timm's names. Its feature is a vector: the mean of the map, normalised. */
export class ConvNeXt extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly featureSize: number;
  readonly classifierPrefixes = ['head.fc.'];
  override readonly namings: readonly Naming[] = convnextNamings;
  override readonly transformersForm: TransformersForm | null;
  override readonly smallestSide = 32;
  readonly stem: nn.Sequential;
  readonly stages: Stage[];
  readonly head: Head;

  constructor(
    readonly name: string,
    shape: ConvNeXtShape,
    readonly input: InputFormat,
    { generator, dropoutGenerator, skipInit, device, dropPath = 0 }: DropPathContext = {},
  ) {
    super();
    const { dims, depths, eps = 1e-6, headEps = eps } = shape;
    this.transformersForm = convnextTransformersForm(shape);
    const options = { generator, dropoutGenerator, skipInit, device };
    const first = dims[0] as number;
    this.stem = new nn.Sequential(
      convolution(3, first, 4, { stride: 4, ...options }),
      new MapNorm(first, { eps, device }),
    );
    this.stages = dims.map(
      (channels, i) => new Stage(dims[i - 1] ?? first, channels, depths[i] ?? 1, shape, options),
    );
    this.featureSize = dims.at(-1) ?? first;
    this.head = new Head(this.featureSize, headEps, options);
    this.setDropPath(dropPath);
  }

  /** Images (B, 3, H, W) to (B, featureSize). */
  features(images: Tensor): Tensor {
    return scope(() => {
      const maps = runStage(this.layers(), images);
      return this.head.norm.forward(maps.mean([2, 3]));
    });
  }

  private layers(): nn.Layer[] {
    const stages = this.stages.flatMap(({ downsample, blocks }) =>
      downsample === null ? blocks : [downsample, ...blocks],
    );
    return [this.stem, ...stages];
  }

  protected layersByDepth(): nn.Module[][] {
    return [...this.layers().map((layer) => [layer]), [this.head]];
  }
}

function convolution(
  inChannels: number,
  outChannels: number,
  size: number,
  { generator, skipInit = false, ...options }: nn.Conv2dOptions,
): nn.Conv2d {
  const layer = new nn.Conv2d(inChannels, outChannels, size, { skipInit: true, ...options });
  if (!skipInit) nn.init.truncNormal_(layer.weight, { std: 0.02, generator });
  if (layer.bias !== null) nn.init.constant_(layer.bias, 0);
  return layer;
}

export const convnext = family({
  name: 'convnext_tiny.in12k_ft_in1k',
  help: 'ConvNeXt and ConvNeXt V2, also of DINOv3 and CLIP',
  published: convnextWeights,
  batchNorm: false,
  poolsItself: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new ConvNeXt(name, shape, input, { ...context, ...options }),
});
