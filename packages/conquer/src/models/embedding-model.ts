import { F, type Generator, nn, scope, type Tensor } from '@conquer/torch';
import type { Backbone } from './backbone.js';
import { type EmbeddingInitOptions, initEmbedding } from './embedding-init.js';
import { LearnerMasks, type MaskOptions, type MaskSum } from './masks.js';

export interface EmbeddingModelOptions {
  /** Dimensions of the embedding, D. */
  embeddingDim?: number;
  /** How the feature maps become one vector. */
  featuresPooling?: 'avg' | 'max';
  /** Probability of dropping a feature in training. */
  featuresDropout?: number;
  /** How the embedding's weights are drawn; PyTorch's default when left out. */
  embeddingInit?: EmbeddingInitOptions;
  masks?: MaskOptions;
  /** Draws the initial weights of embedding and masks. */
  generator?: Generator;
  /** Draws the dropout; without one, the generator that manualSeed() sets. */
  dropoutGenerator?: Generator;
}

export interface EmbedOptions {
  /** Apply this learner's mask. */
  learner?: number | null;
  /** Without a learner: apply the sum of all masks to the whole embedding. */
  masks?: MaskSum;
}

/** The trained tensors by the part they belong to; each is a group of the optimiser. */
export interface ParameterGroups {
  backbone: Tensor[];
  embedding: Tensor[];
  /** Empty for fixed masks. */
  masks: Tensor[];
}

/**
 * A backbone, pooling, dropout, a linear embedding, and a mask for every learner. In state dicts the backbone's
 * names stand without a prefix (conv1.weight, as torchvision has them) beside embedding.weight, embedding.bias
 * and masks.0, masks.1, ...
 */
export class EmbeddingModel extends nn.Module {
  readonly embedding: nn.Linear;
  readonly learnerMasks: LearnerMasks;
  readonly featuresPooling: 'avg' | 'max';
  readonly featuresDropout: nn.Dropout;

  constructor(
    readonly backbone: Backbone,
    options: EmbeddingModelOptions = {},
  ) {
    super();
    const { embeddingDim = 128, featuresPooling = 'avg', featuresDropout = 0, generator } = options;
    this.featuresPooling = featuresPooling;
    this.featuresDropout = new nn.Dropout(featuresDropout, { generator: options.dropoutGenerator });
    this.embedding = new nn.Linear(backbone.featureSize, embeddingDim, { generator });
    initEmbedding(this.embedding, { generator, ...options.embeddingInit });
    this.learnerMasks = new LearnerMasks(embeddingDim, { generator, ...options.masks });
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    // The empty name adds no prefix. Dropout is listed for train() and eval(); it has no tensors.
    yield ['', this.backbone];
    yield ['features_dropout', this.featuresDropout];
    yield ['embedding', this.embedding];
    yield ['', this.learnerMasks];
  }

  get embeddingDim(): number {
    return this.embedding.outFeatures;
  }

  /** Width of the penultimate features, F. */
  get featureSize(): number {
    return this.backbone.featureSize;
  }

  get numLearners(): number {
    return this.learnerMasks.numLearners;
  }

  /** The learners' masks as stored, (D) each. */
  get masks(): readonly Tensor[] {
    return this.learnerMasks.masks;
  }

  /** Doubles the learners; see LearnerMasks.double. */
  doubleLearners(): void {
    this.learnerMasks.double();
  }

  /** Doubles or halves the learners until there are so many. @returns whether the masks are new tensors */
  setNumLearners(numLearners: number): boolean {
    const before = this.numLearners;
    while (this.numLearners < numLearners) this.learnerMasks.double();
    while (this.numLearners > numLearners) this.learnerMasks.halve();
    return this.numLearners !== before;
  }

  parameterGroups(): ParameterGroups {
    return {
      backbone: this.backbone.parameters(),
      embedding: this.embedding.parameters(),
      masks: this.learnerMasks.parameters(),
    };
  }

  /** Images (B, 3, H, W) to the penultimate features (B, F), each row of length 1. */
  features(images: Tensor): Tensor {
    return scope(() => F.normalize(this.pooledFeatures(images)));
  }

  /**
   * Images (B, 3, H, W) to embeddings (B, D), each row of length 1: of one learner, of the whole embedding
   * (no learner), or of the whole embedding under the sum of the masks.
   */
  embed(images: Tensor, { learner = null, masks }: EmbedOptions = {}): Tensor {
    if (learner !== null && masks !== undefined) {
      throw new RangeError(
        `embed: either one learner's mask or the sum of all, got learner ${learner} and '${masks}'`,
      );
    }
    return scope(() => {
      const embeddings = this.embedding.forward(this.pooledFeatures(images));
      if (learner !== null) return F.normalize(embeddings.mul(this.learnerMasks.learner(learner)));
      if (masks !== undefined)
        return F.normalize(embeddings.mul(this.learnerMasks.sumForFullEmbedding(masks).detach()));
      return F.normalize(embeddings);
    });
  }

  /** The whole embedding, as embed() without options. */
  forward(images: Tensor): Tensor {
    return this.embed(images);
  }

  private pooledFeatures(images: Tensor): Tensor {
    return scope(() => {
      const maps = this.backbone.forward(images);
      const pooled =
        this.featuresPooling === 'avg' ? F.adaptiveAvgPool2d(maps, 1) : F.adaptiveMaxPool2d(maps, 1);
      return this.featuresDropout.forward(pooled.flatten(1));
    });
  }
}
