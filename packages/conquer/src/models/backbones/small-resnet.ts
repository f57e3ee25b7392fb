import { aten, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../../option-error.js';
import { withDefaults } from '../../part.js';
import { type InputFormat, imageNetInput, usualInput } from '../input-format.js';
import { BasicBlock, convolution, inLayoutFor, runStage } from '../layers/residual-blocks.js';
import { Backbone, type BackboneContext, backbonePart, dropPathOption } from './backbone.js';

const triple = (number = z.number()) => z.tuple([number, number, number]);

const options = z.strictObject({
  widths: z
    .array(z.int().min(1))
    .min(1)
    .readonly()
    .default([32, 64, 128, 256])
    .describe('channels of the stages; the second and later ones halve the resolution'),
  depths: z
    .union([z.int().min(1).max(1000), z.array(z.int().min(1).max(1000)).readonly()])
    .default(1)
    .describe('basic blocks in each stage: one number for all, or one each'),
  stem: z
    .strictObject({
      kernelSize: z.int().min(1).max(64).default(3).describe('side of the first convolution'),
      stride: z.int().min(1).max(64).default(2).describe('of the first convolution'),
      maxPool: z.boolean().default(false).describe('halve the maps once more, behind it'),
    })
    .prefault({})
    .describe('the first layer'),
  shortcut: z
    .enum(['average', 'strided'])
    .default('average')
    .describe("how shortcuts shrink: average costs little and keeps every pixel, strided is torchvision's"),
  dropPath: dropPathOption,
  input: z
    .strictObject({
      size: z.int().min(1).default(32).describe('usual side of the images'),
      channels: z.enum(['RGB', 'BGR']).default(usualInput.channels).describe('their order'),
      scale: z
        .number()
        .min(1e-3)
        .max(1e6)
        .default(usualInput.scale)
        .describe('value of a white pixel before the mean is subtracted'),
      mean: triple().default(imageNetInput.mean).describe('of each channel'),
      std: triple(z.number().min(1e-6)).default(imageNetInput.std).describe('of each channel'),
      interpolation: z
        .enum(['bilinear', 'bicubic'])
        .default(usualInput.interpolation)
        .describe('by which they are reduced'),
      cropShare: z
        .number()
        .min(0.01)
        .max(1)
        .default(usualInput.cropShare)
        .describe('of the short side, in evaluation'),
    })
    .prefault({})
    .describe('how its images come'),
});

/** What it is made of. */
export type SmallResNetShape = z.input<typeof options>;

export interface SmallResNetOptions extends SmallResNetShape, Partial<BackboneContext> {}

/**
 * A ResNet for small images and CPUs: a 3x3 stem of stride 2, and by default one basic block a stage. Parameter
 * names and initialisation follow torchvision's ResNets (layer1, layer2, ...).
 */
export class SmallResNet extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly name = 'small-resnet';
  readonly featureSize: number;
  readonly input: InputFormat;
  readonly classifierPrefixes = ['fc.'];
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  /** All layers but the first one pad what they need. */
  override readonly smallestSide: number;
  private readonly maxPool: boolean;
  private readonly dropPath: number;
  private readonly stages: BasicBlock[][];

  constructor({
    frozenBatchNorm = false,
    generator,
    dropoutGenerator,
    device: _,
    skipInit: __,
    ...given
  }: SmallResNetOptions = {}) {
    super();
    const { widths, depths, stem, shortcut, dropPath, input } = withDefaults('SmallResNet', options, given);
    const { kernelSize, stride, maxPool } = stem;
    const blockOptions = { frozenBatchNorm, shortcut, generator, dropoutGenerator };
    if (typeof depths !== 'number' && depths.length !== widths.length) {
      throw new OptionError(
        'depths',
        `expected one number, or as many as there are widths, ${widths.length}; got ${depths.length}`,
      );
    }
    const firstWidth = widths[0] as number;
    this.input = input;
    this.maxPool = maxPool;
    this.dropPath = dropPath;
    this.smallestSide = kernelSize % 2 === 0 ? 2 : 1;
    this.conv1 = convolution(3, firstWidth, kernelSize, stride, { generator });
    this.bn1 = new nn.BatchNorm2d(firstWidth, { frozen: frozenBatchNorm });
    let inChannels = firstWidth;
    const depthsOfStages = widths.map((_, stage) => (typeof depths === 'number' ? depths : depths[stage]!));
    const rates = nn.dropPathRates(
      dropPath,
      depthsOfStages.reduce((sum, depth) => sum + depth, 0),
    );
    this.stages = widths.map((width, stage) =>
      Array.from({ length: depthsOfStages[stage]! }, (_, i) => {
        const options = { ...blockOptions, dropPath: rates.shift()! };
        const block = new BasicBlock(inChannels, width, stage > 0 && i === 0 ? 2 : 1, options);
        inChannels = width;
        return block;
      }),
    );
    this.featureSize = inChannels;
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield* super.namedChildren();
    for (const [stage, blocks] of this.stages.entries()) {
      for (const [i, block] of blocks.entries()) yield [`layer${stage + 1}.${i}`, block];
    }
  }

  /** Images (B, 3, H, W) to (B, featureSize, h, w). */
  features(images: Tensor): Tensor {
    return this.through(images, 0, this.layersByDepth().length);
  }

  override through(x: Tensor, from: number, to: number): Tensor {
    const blocks = this.stages.flat().slice(Math.max(from - 1, 0), to - 1);
    return inLayoutFor(x, this.training && this.dropPath > 0, (given) =>
      runStage(blocks, from === 0 ? this.firstMaps(given) : given),
    );
  }

  private firstMaps(x: Tensor): Tensor {
    return scope(() => {
      const maps = nn.convBatchNorm(x, this.conv1, this.bn1, { activation: 'relu' });
      return this.maxPool ? aten.max_pool2d(maps, [3, 3], [2, 2], [1, 1]) : maps;
    });
  }

  protected layersByDepth(): nn.Module[][] {
    return [[this.conv1, this.bn1], ...this.stages.flat().map((block) => [block])];
  }
}

export const smallResNet = backbonePart({
  name: 'small-resnet',
  help: 'a small ResNet for small images and CPUs',
  options,
  batchNorm: true,
  weights: null,
  build: (options, context) => new SmallResNet({ ...options, ...context }),
});
