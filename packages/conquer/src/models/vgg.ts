import { type Generator, nn, type Tensor } from '@conquer/torch';
import { Backbone, imageNetInput } from './backbone.js';

export const vggNames = ['vgg11', 'vgg11bn'] as const;

export type VGGName = (typeof vggNames)[number];

export interface VGGOptions {
  /** BatchNorm keeps its running statistics; its weight and bias still learn. For vgg11bn only. */
  frozenBatchNorm?: boolean;
  generator?: Generator;
}

/** Output channels of the 3x3 convolutions of each stage (Simonyan and Zisserman, arXiv 1409.1556, table 1, A). */
const stages = [[64], [128], [256, 256], [512, 512], [512, 512]];

/**
 * The convolutions of VGG-11, without or with BatchNorm, with torchvision's parameter names and initialisation:
 * convolutions Kaiming normal (fan out) with bias 0, BatchNorm weight 1 and bias 0.
 */
export class VGG extends Backbone {
  readonly featureSize = 512;
  readonly input = imageNetInput;
  readonly classifierPrefixes = ['classifier.'];
  override readonly smallestSide = 32;
  readonly features: nn.Sequential;

  constructor(
    readonly name: VGGName,
    { frozenBatchNorm: frozen = false, generator }: VGGOptions = {},
  ) {
    super();
    const layers: nn.Layer[] = [];
    let inChannels = 3;
    for (const stage of stages) {
      for (const outChannels of stage) {
        const convolution = new nn.Conv2d(inChannels, outChannels, 3, { padding: 1, generator });
        nn.init.kaimingNormal_(convolution.weight, { mode: 'fanOut', nonlinearity: 'relu', generator });
        nn.init.constant_(convolution.bias as Tensor, 0);
        layers.push(convolution);
        if (name === 'vgg11bn') layers.push(new nn.BatchNorm2d(outChannels, { frozen }));
        layers.push(new nn.ReLU({ inplace: true }));
        inChannels = outChannels;
      }
      layers.push(new nn.MaxPool2d(2));
    }
    this.features = new nn.Sequential(...layers);
  }

  /** Images (B, 3, H, W) to (B, 512, H / 32, W / 32), rounded down. */
  forward(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => this.features.forward(x));
  }
}
