import { UserError } from '@conquer-dml/run';
import { type nn, noGrad, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { type InputFormat, imageNetInput } from '../input-format.js';
import { Backbone } from './backbone.js';

/** A module that can be a backbone: it has to give features; what else it says of itself is believed. */
export interface FeatureModule extends nn.Module {
  /** Images (B, 3, H, W) to maps (B, C, h, w), tokens (B, N, C) or vectors (B, C), which belong to the caller. */
  features(images: Tensor): Tensor;
  /** C; found out with a black image when left out. */
  readonly featureSize?: number;
  /** How images have to come; as torchvision's networks take them when left out. */
  readonly input?: InputFormat;
}

/** A module of one's own as a backbone. Its tensors keep their names; its parameters are all of one depth. */
export class OwnBackbone extends Backbone {
  readonly name: string;
  readonly featureSize: number;
  readonly input: InputFormat;
  readonly classifierPrefixes: readonly string[] = [];

  /** @throws UserError for a module without features() */
  constructor(private readonly module: FeatureModule) {
    super();
    this.name = module.constructor.name;
    if (typeof module.features !== 'function')
      throw new UserError(`${this.name}: expected a module with features(images) as a backbone, it has none`);
    this.input = module.input ?? imageNetInput;
    this.featureSize = module.featureSize ?? channelsOf(module, this.input.size);
  }

  override *namedChildren(): Generator<[string, nn.Module]> {
    yield ['', this.module];
  }

  features(images: Tensor): Tensor {
    return this.module.features(images);
  }

  protected layersByDepth(): nn.Module[][] {
    return [[this.module]];
  }
}

/** Of what a module gives for one image, in evaluation: nothing in it changes. */
function channelsOf(module: FeatureModule, size: number): number {
  const { training } = module;
  module.eval();
  try {
    return scope(() => {
      const { shape } = noGrad(() => module.features(zeros([1, 3, size, size])));
      return (shape.length === 4 ? shape[1] : shape.at(-1)) as number;
    });
  } finally {
    module.train(training);
  }
}
