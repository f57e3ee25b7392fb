import { nn, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { imageNetInput } from '../input-format.js';
import { Backbone, type BackboneContext, backbonePart } from './backbone.js';

/**
 * The convolutions of AlexNet in its one-column form (Krizhevsky, arXiv 1404.5997), with torchvision's parameter
 * names and initialisation (PyTorch's default). It has no BatchNorm.
 */
export class AlexNet extends Backbone {
  readonly name = 'alexnet';
  readonly featureSize = 256;
  readonly input = imageNetInput;
  readonly classifierPrefixes = ['classifier.'];
  override readonly smallestSide = 63;
  private readonly layers: nn.Sequential;

  constructor({ generator }: Pick<BackboneContext, 'generator'> = {}) {
    super();
    const relu = () => new nn.ReLU({ inplace: true });
    const pool = () => new nn.MaxPool2d(3, { stride: 2 });
    this.layers = new nn.Sequential(
      new nn.Conv2d(3, 64, 11, { stride: 4, padding: 2, generator }),
      relu(),
      pool(),
      new nn.Conv2d(64, 192, 5, { padding: 2, generator }),
      relu(),
      pool(),
      new nn.Conv2d(192, 384, 3, { padding: 1, generator }),
      relu(),
      new nn.Conv2d(384, 256, 3, { padding: 1, generator }),
      relu(),
      new nn.Conv2d(256, 256, 3, { padding: 1, generator }),
      relu(),
      pool(),
    );
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield ['features', this.layers];
  }

  /** Images (B, 3, H, W) to (B, 256, h, w): 6x6 for 224 pixels. */
  features(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => this.layers.forward(x));
  }

  protected layersByDepth(): nn.Module[][] {
    const layers = [...this.layers.namedChildren()].map(([, layer]) => layer);
    return layers.filter((layer) => layer instanceof nn.Conv2d).map((layer) => [layer]);
  }
}

export const alexnet = backbonePart({
  name: 'alexnet',
  help: 'AlexNet, in its one-column form',
  options: z.strictObject({}),
  batchNorm: false,
  weights: { file: 'alexnet-owt-7be5be79.pth', mebibytes: 233.087 },
  build: (_, { generator }) => new AlexNet({ generator }),
});
