import { aten, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { Backbone, type BackboneContext, backbonePart } from './backbone.js';
import { imageNetInput } from './input-format.js';
import type { PublishedWeights } from './published-weights.js';
import { BasicBlock, Bottleneck, convolution, runStage } from './residual-blocks.js';

/** Blocks in the four stages (He et al., arXiv 1512.03385, table 1). */
const architectures = {
  resnet18: { block: BasicBlock, depths: [2, 2, 2, 2] },
  resnet34: { block: BasicBlock, depths: [3, 4, 6, 3] },
  resnet50: { block: Bottleneck, depths: [3, 4, 6, 3] },
  resnet101: { block: Bottleneck, depths: [3, 4, 23, 3] },
  resnet152: { block: Bottleneck, depths: [3, 8, 36, 3] },
} as const;

export type ResNetName = keyof typeof architectures;

/**
 * A ResNet without its last layer, with torchvision's parameter names and initialisation: convolutions Kaiming
 * normal (fan out), BatchNorm weight 1 and bias 0.
 */
export class ResNet extends Backbone {
  readonly name: ResNetName;
  readonly featureSize: number;
  readonly input = imageNetInput;
  readonly classifierPrefixes = ['fc.'];
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly layer1: nn.Layer[];
  readonly layer2: nn.Layer[];
  readonly layer3: nn.Layer[];
  readonly layer4: nn.Layer[];

  constructor(name: ResNetName, options: Partial<BackboneContext> = {}) {
    super();
    const { block: Block, depths } = architectures[name];
    let inChannels = 64;
    const stage = (channels: number, depth: number, stride: number): nn.Layer[] =>
      Array.from({ length: depth }, (_, i) => {
        const block = new Block(inChannels, channels, i === 0 ? stride : 1, options);
        inChannels = channels * Block.expansion;
        return block;
      });
    this.name = name;
    this.conv1 = convolution(3, 64, 7, 2, options.generator);
    this.bn1 = new nn.BatchNorm2d(64, { frozen: options.frozenBatchNorm ?? false });
    this.layer1 = stage(64, depths[0], 1);
    this.layer2 = stage(128, depths[1], 2);
    this.layer3 = stage(256, depths[2], 2);
    this.layer4 = stage(512, depths[3], 2);
    this.featureSize = inChannels;
  }

  /** Images (B, 3, H, W) to (B, featureSize, H / 32, W / 32), rounded up. */
  features(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => {
      const stem = scope(() =>
        aten.max_pool2d(nn.convBatchNorm(x, this.conv1, this.bn1).relu_(), [3, 3], [2, 2], [1, 1]),
      );
      return runStage([...this.layer1, ...this.layer2, ...this.layer3, ...this.layer4], stem);
    });
  }

  protected layersByDepth(): nn.Module[][] {
    const { layer1, layer2, layer3, layer4 } = this;
    const blocks: nn.Module[] = [...layer1, ...layer2, ...layer3, ...layer4];
    return [[this.conv1, this.bn1], ...blocks.map((block) => [block])];
  }
}

const resnet = <const Name extends ResNetName>(name: Name, weights: PublishedWeights) =>
  backbonePart({
    name,
    help: `ResNet of ${name.slice('resnet'.length)} layers`,
    options: z.strictObject({}),
    batchNorm: true,
    weights,
    build: (_, context) => new ResNet(name, context),
  });

export const resnet18 = resnet('resnet18', { file: 'resnet18-f37072fd.pth', mebibytes: 44.661 });
export const resnet34 = resnet('resnet34', { file: 'resnet34-b627a593.pth', mebibytes: 83.275 });
export const resnet50 = resnet('resnet50', { file: 'resnet50-0676ba61.pth', mebibytes: 97.781 });
export const resnet101 = resnet('resnet101', { file: 'resnet101-63fe2227.pth', mebibytes: 170.511 });
export const resnet152 = resnet('resnet152', { file: 'resnet152-394f9c45.pth', mebibytes: 230.434 });
