import { nn, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { imageNetInput } from '../input-format.js';
import type { PublishedWeights } from '../weights/published-weights.js';
import { Backbone, type BackboneContext, backbonePart } from './backbone.js';

export type VGGName = 'vgg11' | 'vgg11bn';

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
  private readonly layers: nn.Sequential;

  constructor(
    readonly name: VGGName,
    { frozenBatchNorm: frozen = false, generator }: Partial<BackboneContext> = {},
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
    this.layers = new nn.Sequential(...layers);
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield ['features', this.layers];
  }

  /** Images (B, 3, H, W) to (B, 512, H / 32, W / 32), rounded down. */
  features(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => this.layers.forward(x));
  }

  protected layersByDepth(): nn.Module[][] {
    const groups: nn.Module[][] = [];
    for (const [, layer] of this.layers.namedChildren()) {
      if (layer instanceof nn.Conv2d) groups.push([layer]);
      else if (layer instanceof nn.BatchNorm2d) groups.at(-1)?.push(layer);
    }
    return groups;
  }
}

const vgg = <const Name extends VGGName>(name: Name, help: string, weights: PublishedWeights) =>
  backbonePart({
    name,
    help,
    options: z.strictObject({}),
    batchNorm: name === 'vgg11bn',
    weights,
    build: (_, context) => new VGG(name, context),
  });

export const vgg11 = vgg('vgg11', 'VGG of 11 layers', { file: 'vgg11-8a719046.pth', mebibytes: 506.84 });
export const vgg11bn = vgg('vgg11bn', 'VGG of 11 layers with BatchNorm', {
  file: 'vgg11_bn-6002323d.pth',
  mebibytes: 506.881,
});
