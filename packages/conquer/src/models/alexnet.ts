import { type Generator, nn, type Tensor } from '@conquer/torch';
import { Backbone, imageNetInput } from './backbone.js';

export interface AlexNetOptions {
  generator?: Generator;
}

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
  readonly features: nn.Sequential;

  constructor({ generator }: AlexNetOptions = {}) {
    super();
    const relu = () => new nn.ReLU({ inplace: true });
    const pool = () => new nn.MaxPool2d(3, { stride: 2 });
    this.features = new nn.Sequential(
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

  /** Images (B, 3, H, W) to (B, 256, h, w): 6x6 for 224 pixels. */
  forward(images: Tensor): Tensor {
    return nn.inBlockedLayout(images, (x) => this.features.forward(x));
  }
}
