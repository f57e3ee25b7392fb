import { aten, type Generator, nn, scope, type Tensor } from '@conquer/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Backbone, type InputFormat, imageNetInput } from './backbone.js';
import { BasicBlock, convolution, runStage } from './residual-blocks.js';

export interface SmallResNetOptions {
  /** Channels of the stages; the second and later ones halve the resolution. */
  widths?: readonly number[];
  /** Basic blocks in each stage: one number for all, or one each. */
  depths?: number | readonly number[];
  stem?: { kernelSize?: number; stride?: number; maxPool?: boolean };
  /** How the shortcuts shrink: 'average' costs little and keeps every pixel, 'strided' is torchvision's. */
  shortcut?: 'average' | 'strided';
  /** Size, mean and standard deviation of the images it is meant for. */
  input?: InputFormat;
  frozenBatchNorm?: boolean;
  generator?: Generator;
}

/** All of its options. */
const optionNames: OptionNames<SmallResNetOptions> = {
  widths: true,
  depths: true,
  stem: true,
  shortcut: true,
  input: true,
  frozenBatchNorm: true,
  generator: true,
};

/**
 * A ResNet for small images and CPUs: a 3x3 stem of stride 2, and by default one basic block a stage. Parameter
 * names and initialisation follow torchvision's ResNets (layer1, layer2, ...).
 */
export class SmallResNet extends Backbone {
  readonly name = 'small-resnet';
  readonly featureSize: number;
  readonly input: InputFormat;
  readonly classifierPrefixes = ['fc.'];
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  /** All layers but the first one pad what they need. */
  override readonly smallestSide: number;
  private readonly maxPool: boolean;
  private readonly stages: BasicBlock[][];

  constructor(options: SmallResNetOptions = {}) {
    super();
    refuseUnknownOptions('SmallResNet', options, optionNames);
    const { widths = [32, 64, 128, 256], depths = 1, stem = {}, shortcut = 'average', generator } = options;
    const { kernelSize = 3, stride = 2, maxPool = false } = stem;
    const blockOptions = { frozenBatchNorm: options.frozenBatchNorm ?? false, shortcut, generator };
    const [firstWidth] = widths;
    if (firstWidth === undefined || (typeof depths !== 'number' && depths.length !== widths.length)) {
      throw new RangeError(
        `SmallResNet: expected at least one width and as many depths, got widths [${widths}] and depths [${depths}]`,
      );
    }
    this.input = options.input ?? { ...imageNetInput, size: 32 };
    this.maxPool = maxPool;
    this.smallestSide = kernelSize % 2 === 0 ? 2 : 1;
    this.conv1 = convolution(3, firstWidth, kernelSize, stride, generator);
    this.bn1 = new nn.BatchNorm2d(firstWidth, { frozen: blockOptions.frozenBatchNorm });
    let inChannels = firstWidth;
    this.stages = widths.map((width, stage) => {
      const depth = typeof depths === 'number' ? depths : (depths[stage] ?? 1);
      return Array.from({ length: depth }, (_, i) => {
        const block = new BasicBlock(inChannels, width, stage > 0 && i === 0 ? 2 : 1, blockOptions);
        inChannels = width;
        return block;
      });
    });
    this.featureSize = inChannels;
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield* super.namedChildren();
    for (const [stage, blocks] of this.stages.entries()) {
      for (const [i, block] of blocks.entries()) yield [`layer${stage + 1}.${i}`, block];
    }
  }

  /** Images (B, 3, H, W) to (B, featureSize, h, w). */
  forward(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => {
      const stem = scope(() => {
        const maps = nn.convBatchNorm(x, this.conv1, this.bn1).relu_();
        return this.maxPool ? aten.max_pool2d(maps, [3, 3], [2, 2], [1, 1]) : maps;
      });
      return runStage(this.stages.flat(), stem);
    });
  }
}
