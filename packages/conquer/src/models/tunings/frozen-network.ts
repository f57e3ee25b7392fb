import type { Preprocessing } from '@conquer-dml/run';
import { F, nn, scope, type Tensor } from '@conquer-dml/torch';
import type { Backbone } from '../backbones/backbone.js';
import type { EmbeddingNetwork } from '../embedding-network.js';
import type { InputFormat } from '../input-format.js';
import { pooledFeatures } from '../layers/pooled-features.js';
import { preprocessingFor } from '../preprocessing.js';

/** A backbone as it was published, without a layer of ours: its features, brought to length 1, are the embedding. */
export class FrozenNetwork extends nn.Module implements EmbeddingNetwork {
  readonly view: Preprocessing;

  /** @param backbone the network disposes it @param input how images come, where the backbone's own `input` is not it */
  constructor(
    readonly backbone: Backbone,
    input: InputFormat = backbone.input,
  ) {
    super();
    this.view = preprocessingFor(input);
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    yield ['', this.backbone];
  }

  get embeddingDim(): number {
    return this.backbone.featureSize;
  }

  get featureSize(): number {
    return this.backbone.featureSize;
  }

  features(images: Tensor): Tensor {
    return scope(() => F.normalize(pooledFeatures(this.backbone, images, 'avg')));
  }

  /** The same: there is no layer behind the features, and no learner. */
  embed(images: Tensor): Tensor {
    return this.features(images);
  }
}
