import { F, type Generator, nn, scope, type Tensor } from '@conquer/torch';
import type { Backbone } from './backbone.js';
import { type EmbeddingInitOptions, initEmbedding } from './embedding-init.js';
import { LearnerMasks, type MaskOptions, type MaskSum, requirePowerOfTwo } from './masks.js';

export interface EmbeddingModelOptions {
  /** Dimensions of the embedding, D; default 128. */
  embeddingDim?: number;
  /** How the feature maps become one vector: the mean (default) or the maximum of each. */
  featuresPooling?: 'avg' | 'max';
  /** Probability of dropping a feature in training, 0…1; default 0. */
  featuresDropout?: number;
  /** How the embedding's weights are drawn; PyTorch's default when left out. */
  embeddingInit?: EmbeddingInitOptions;
  /** The learners and their masks; by default one learner with a learned mask. */
  masks?: MaskOptions;
  /** Draws the initial weights of embedding and masks; without one, the generator that manualSeed() sets. */
  generator?: Generator;
  /** Draws the dropout; without one, the generator that manualSeed() sets. */
  dropoutGenerator?: Generator;
}

export interface EmbedOptions {
  /** Apply this learner's mask, 0..numLearners-1. Default null: the whole embedding. */
  learner?: number | null;
  /** Without a learner: apply the sum of all masks to the whole embedding. Default: no mask. */
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
 * A backbone, pooling, dropout, a linear embedding, and a mask for every learner. In state dicts the
 * backbone's names stand without a prefix (conv1.weight, as torchvision has them) beside embedding.weight,
 * embedding.bias and masks.0, masks.1, ... dispose() frees the backbone too.
 */
export class EmbeddingModel extends nn.Module {
  readonly embedding: nn.Linear;
  readonly learnerMasks: LearnerMasks;
  readonly featuresPooling: 'avg' | 'max';
  readonly featuresDropout: nn.Dropout;

  /**
   * @throws UserError for masks or an initialisation that cannot be, see LearnerMasks and
   *   EmbeddingInitOptions
   */
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

  /** D. */
  get embeddingDim(): number {
    return this.embedding.outFeatures;
  }

  /** Width of the penultimate features, F. */
  get featureSize(): number {
    return this.backbone.featureSize;
  }

  /** K. */
  get numLearners(): number {
    return this.learnerMasks.numLearners;
  }

  /** The learners' masks as stored, (D) each. They stay the model's. */
  get masks(): readonly Tensor[] {
    return this.learnerMasks.masks;
  }

  /** Doubles the learners; see LearnerMasks.double. @throws UserError when a fixed mask cannot be split */
  doubleLearners(): void {
    this.learnerMasks.double();
  }

  /**
   * Doubles or halves the learners until there are so many, a power of two.
   * @returns whether the masks are new tensors, which the optimiser has to be told of
   *   (TrainingOptimizer.replaceMasks)
   * @throws UserError when a fixed mask cannot be split, or for a number that is no power of two
   */
  setNumLearners(numLearners: number): boolean {
    requirePowerOfTwo(numLearners);
    const before = this.numLearners;
    while (this.numLearners < numLearners) this.learnerMasks.double();
    while (this.numLearners > numLearners) this.learnerMasks.halve();
    return this.numLearners !== before;
  }

  /** The model's own tensors, not copies. BatchNorm's statistics and fixed masks are not among them. */
  parameterGroups(): ParameterGroups {
    return {
      backbone: this.backbone.parameters(),
      embedding: this.embedding.parameters(),
      masks: this.learnerMasks.parameters(),
    };
  }

  /**
   * Images (B, 3, H, W) to the penultimate features (B, F), each row of length 1; they belong to the caller.
   */
  features(images: Tensor): Tensor {
    return scope(() => F.normalize(this.pooledFeatures(images)));
  }

  /**
   * Images (B, 3, H, W) to embeddings (B, D), each row of length 1: of one learner, of the whole embedding
   * (no learner), or of the whole embedding under the sum of the masks. They belong to the caller.
   * @throws RangeError for both a learner and `masks`, or a learner that is not there; UserError for images that the
   *   backbone does not take
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
    this.backbone.requireImages(images.shape);
    return scope(() => {
      const maps = this.backbone.forward(images);
      const pooled =
        this.featuresPooling === 'avg' ? F.adaptiveAvgPool2d(maps, 1) : F.adaptiveMaxPool2d(maps, 1);
      return this.featuresDropout.forward(pooled.flatten(1));
    });
  }
}
