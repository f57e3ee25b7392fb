import { aten, checkpoint, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { type InputFormat, imageNetInput } from '../../input-format.js';
import { BasicBlock, Bottleneck, convolution, inLayoutFor, runGroups } from '../../layers/residual-blocks.js';
import type { Naming } from '../../weights/naming.js';
import type { PublishedWeights } from '../../weights/published-weights.js';
import type { TransformersForm } from '../../weights/transformers-form.js';
import { Backbone, backbonePart, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { resnetNaming } from './resnet-naming.js';
import { type ResNetName, type ResNetShape, resnets, resnetTransformersForm } from './resnet-shape.js';
import { resnetWeights } from './resnet-weights.js';

/** What lies between blocks of a layer takes as much room as is inside of one: where activations are not kept, pairs need the least. */
const inPairs = (blocks: readonly nn.Layer[]): nn.Layer[][] =>
  Array.from({ length: Math.ceil(blocks.length / 2) }, (_, i) => blocks.slice(2 * i, 2 * i + 2));

/**
 * A ResNet without its last layer, with torchvision's parameter names and initialisation: convolutions Kaiming
 * normal (fan out), BatchNorm weight 1 and bias 0.
 */
export class ResNet extends Backbone {
  override readonly checkpointsBlocks = true;
  readonly featureSize: number;
  readonly classifierPrefixes = ['fc.'];
  override readonly namings: readonly Naming[];
  override readonly transformersForm: TransformersForm;
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly layer1: nn.Layer[];
  readonly layer2: nn.Layer[];
  readonly layer3: nn.Layer[];
  readonly layer4: nn.Layer[];

  private readonly dropPath: number;

  constructor(
    readonly name: string,
    { dropPath = 0, ...options }: DropPathContext = {},
    shape: ResNetShape = resnets[name as ResNetName],
    readonly input: InputFormat = imageNetInput,
  ) {
    super();
    const { block, depths, channels = [64, 128, 256, 512] } = shape;
    const Block = block === 'basic' ? BasicBlock : Bottleneck;
    let inChannels = 64;
    const rates = nn.dropPathRates(
      dropPath,
      depths.reduce((sum, depth) => sum + depth, 0),
    );
    this.dropPath = dropPath;
    const stage = (i: 0 | 1 | 2 | 3): nn.Layer[] =>
      Array.from({ length: depths[i] ?? 1 }, (_, n) => {
        const within = channels[i] ?? 64;
        const blockOptions = { ...options, dropPath: rates.shift()! };
        const block = new Block(inChannels, within, n === 0 && i > 0 ? 2 : 1, blockOptions);
        inChannels = within * Block.expansion;
        return block;
      });
    this.namings = [resnetNaming(block)];
    this.transformersForm = resnetTransformersForm({ block, depths, channels });
    this.conv1 = convolution(3, 64, 7, 2, options);
    this.bn1 = new nn.BatchNorm2d(64, {
      frozen: options.frozenBatchNorm ?? false,
      device: options.device,
    });
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.featureSize = inChannels;
  }

  /** Images (B, 3, H, W) to (B, featureSize, H / 32, W / 32), rounded up. */
  features(images: Tensor): Tensor {
    return this.through(images, 0, this.layersByDepth().length);
  }

  override through(x: Tensor, from: number, to: number): Tensor {
    let first = 1;
    const groups = [this.layer1, this.layer2, this.layer3, this.layer4].flatMap((layer) => {
      const within = layer.slice(Math.max(from - first, 0), Math.max(to - first, 0));
      first += layer.length;
      return inPairs(within);
    });
    return inLayoutFor(x, this.training && this.dropPath > 0, (given) =>
      runGroups(groups, from === 0 ? this.stem(given) : given),
    );
  }

  private stem(images: Tensor): Tensor {
    const { conv1, bn1 } = this;
    const run = (x: Tensor) =>
      scope(() =>
        aten.max_pool2d(nn.convBatchNorm(x, conv1, bn1, { activation: 'relu' }), [3, 3], [2, 2], [1, 1]),
      );
    return checkpoint([conv1, bn1], run, images);
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
    options: z.strictObject({ dropPath: dropPathOption }),
    batchNorm: true,
    weights,
    build: (options, context) => new ResNet(name, { ...options, ...context }),
  });

export const resnet18 = resnet('resnet18', { file: 'resnet18-f37072fd.pth', mebibytes: 44.661 });
export const resnet34 = resnet('resnet34', { file: 'resnet34-b627a593.pth', mebibytes: 83.275 });
export const resnet50 = resnet('resnet50', { file: 'resnet50-0676ba61.pth', mebibytes: 97.781 });
export const resnet101 = resnet('resnet101', { file: 'resnet101-63fe2227.pth', mebibytes: 170.511 });
export const resnet152 = resnet('resnet152', { file: 'resnet152-394f9c45.pth', mebibytes: 230.434 });

/** timm's weights; their names are torchvision's. An architecture's name alone is torchvision's network. */
export const timmResnet = family({
  name: 'resnet50.a1_in1k',
  help: 'ResNets of 18 to 152 layers with weights of timm and others',
  published: resnetWeights,
  batchNorm: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new ResNet(name, { ...context, ...options }, shape, input),
});
