import { aten, type Generator, nn, scope, type Tensor } from '@conquer/torch';
import { Backbone, imageNetInput } from './backbone.js';
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

export const resNetNames = Object.keys(architectures) as ResNetName[];

export interface ResNetOptions {
  /** BatchNorm keeps its running statistics (the paper's setting); its weight and bias still learn. */
  frozenBatchNorm?: boolean;
  generator?: Generator;
}

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

  constructor(name: ResNetName, options: ResNetOptions = {}) {
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
  forward(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => {
      const stem = scope(() =>
        aten.max_pool2d(nn.convBatchNorm(x, this.conv1, this.bn1).relu_(), [3, 3], [2, 2], [1, 1]),
      );
      return runStage([...this.layer1, ...this.layer2, ...this.layer3, ...this.layer4], stem);
    });
  }
}

/** `resnet('resnet50', { frozenBatchNorm: true })` */
export function resnet(name: ResNetName, options: ResNetOptions = {}): ResNet {
  return new ResNet(name, options);
}
