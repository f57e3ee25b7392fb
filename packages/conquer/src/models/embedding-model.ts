import type { Preprocessing } from '@conquer-dml/run';
import { F, type Generator, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { buildNamed } from '../named-part.js';
import { OptionError } from '../option-error.js';
import { goesBy, withDefaults } from '../part.js';
import { Backbone, type BackbonePart } from './backbones/backbone.js';
import { backbones } from './backbones/backbones.js';
import { type FeatureModule, OwnBackbone } from './backbones/own-backbone.js';
import { type EmbeddingInitOptions, embeddingInitOptions, initEmbedding } from './embedding-init.js';
import type { EmbeddingNetwork, EmbedOptions } from './embedding-network.js';
import { GeMPooling } from './heads/gem.js';
import type { Head, HeadBuilder } from './heads/head.js';
import { heads, type NamedHead } from './heads/heads.js';
import { pooledFeatures } from './layers/pooled-features.js';
import { LearnerMasks, type MaskOptions, type MaskSum, maskOptions, requirePowerOfTwo } from './masks.js';
import { preprocessingFor, type Reading } from './preprocessing.js';

const options = z.strictObject({
  embeddingDim: z.int().min(2).default(512).describe('dimensions of the embedding'),
  pooling: z
    .enum(['avg', 'max', 'gem'])
    .default('avg')
    .describe(
      'how the features of an image become one vector; gem: the generalised mean, of a power that is learned',
    ),
  gemPower: z
    .number()
    .gt(0)
    .max(100)
    .default(3)
    .describe('power at which gem starts: 1 is avg, a large one max'),
  dropout: z.number().min(0).max(0.99).default(0.01).describe('dropout of the penultimate features'),
  fullEmbeddingMasks: z
    .enum(['none', 'sum', 'sum-l1'])
    .default('none')
    .describe(
      'mask of the whole embedding, in evaluation and full-embedding training: the sum of all, or of all scaled to sum 1',
    ),
});

/** What an experiment says of the model beside its backbone. */
export const headOptions = options.extend({
  embeddingInit: embeddingInitOptions
    .extend({
      split: z
        .boolean()
        .default(false)
        .describe("draw each learner's share of the embedding as a layer of its own"),
    })
    .prefault({})
    .describe('how the embedding starts'),
  masks: maskOptions.prefault({}).describe('masks of the learners'),
});

export interface EmbeddingModelOptions extends z.input<typeof options> {
  /** By name, such as `{ name: 'mlp', hidden: [512] }`, or what a head's part builds; default `{ name: 'linear' }`. */
  head?: HeadBuilder | NamedHead | undefined;
  embeddingInit?: EmbeddingInitOptions | undefined;
  /** The learners and their masks; by default one learner with a learned mask. */
  masks?: MaskOptions | undefined;
  /** How images are read that nothing is drawn for; by default as the backbone's `input` says. */
  reading?: Reading | undefined;
  /** Draws the initial weights of embedding and masks; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
  /** Draws the dropout; without one, the generator that manualSeed() sets. */
  dropoutGenerator?: Generator | undefined;
}

/** What is known when an experiment's model is built. */
export interface HeadContext
  extends Pick<EmbeddingModelOptions, 'head' | 'reading' | 'generator' | 'dropoutGenerator'> {
  /** Learners to start with. */
  startLearners: number;
  /** Learners in the end. */
  numLearners: number;
}

/** A model's options as an experiment has them. */
export function headOf(
  { embeddingInit: { split, ...embeddingInit }, masks, ...head }: z.output<typeof headOptions>,
  { startLearners, numLearners, ...others }: HeadContext,
): EmbeddingModelOptions {
  return {
    ...head,
    ...others,
    embeddingInit: { ...embeddingInit, learners: split ? numLearners : 1 },
    masks: { ...masks, numLearners: startLearners },
  };
}

/** The trained tensors by the part they belong to; each is a group of the optimiser. */
export interface ParameterGroups {
  backbone: Tensor[];
  embedding: Tensor[];
  /** Empty for fixed masks. */
  masks: Tensor[];
}

/**
 * A backbone, pooling, dropout, a head that gives the embedding, and a mask for every learner. In state dicts the
 * backbone's names stand without a prefix (conv1.weight, as torchvision has them) beside embedding.weight,
 * embedding.bias (others of the head: head_…; of the pooling: gem.p) and masks.0, masks.1, ... dispose() frees the
 * backbone too.
 */
export class EmbeddingModel extends nn.Module implements EmbeddingNetwork {
  readonly head: Head;
  readonly learnerMasks: LearnerMasks;
  readonly backbone: Backbone;
  readonly pooling: 'avg' | 'max' | 'gem';
  readonly gem: GeMPooling | null;
  readonly featuresDropout: nn.Dropout;
  /** What it is given of an image that nothing is drawn for, in evaluation, an index and a query alike. */
  readonly view: Preprocessing;
  /** The mask of the whole embedding, wherever that is asked for: the sum of all learners'; null: none. */
  fullEmbeddingMasks: MaskSum | null;

  /**
   * @param backbone one of the list's, or a module of one's own that gives features; the model disposes it
   * @throws OptionError for options that cannot be, UserError for learners that cannot
   */
  constructor(
    backbone: Backbone | FeatureModule,
    {
      head = { name: 'linear' },
      embeddingInit,
      masks,
      reading,
      generator,
      dropoutGenerator,
      ...given
    }: EmbeddingModelOptions = {},
  ) {
    super();
    const { embeddingDim, pooling, gemPower, dropout, fullEmbeddingMasks } = withDefaults('', options, given);
    this.backbone = backbone instanceof Backbone ? backbone : new OwnBackbone(backbone);
    requirePooling(this.backbone.name, pooling);
    this.view = preprocessingFor(this.backbone.input, reading);
    this.pooling = pooling;
    this.featuresDropout = new nn.Dropout(dropout, { generator: dropoutGenerator });
    this.fullEmbeddingMasks = fullEmbeddingMasks === 'none' ? null : fullEmbeddingMasks;
    const build =
      typeof head === 'function' ? head : buildNamed<unknown, HeadBuilder>(heads, head, null, 'head');
    this.head = build({ featureSize: this.backbone.featureSize, embeddingDim, generator });
    try {
      initEmbedding(this.head.embedding, { generator, ...embeddingInit });
      this.learnerMasks = new LearnerMasks(embeddingDim, { generator, ...masks });
    } catch (error) {
      this.head.dispose();
      throw error;
    }
    this.gem = pooling === 'gem' ? new GeMPooling(gemPower) : null;
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    // The empty name adds no prefix. Dropout is listed for train() and eval(); it has no tensors.
    yield ['', this.backbone];
    yield ['features_dropout', this.featuresDropout];
    if (this.gem) yield ['gem', this.gem];
    yield ['', this.head];
    yield ['', this.learnerMasks];
  }

  /** The last layer of the head: its rows are the embedding's dimensions. */
  get embedding(): nn.Linear {
    return this.head.embedding;
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
      embedding: [...(this.gem?.parameters() ?? []), ...this.head.parameters()].filter(
        ({ requiresGrad }) => requiresGrad,
      ),
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
   * Images (B, 3, H, W) to embeddings (B, D), each row of length 1: of one learner, or (no learner) of the whole
   * embedding, under the sum of the masks where the model has such (`fullEmbeddingMasks`), which does not train.
   * They belong to the caller.
   * @throws RangeError for a learner that is not there; UserError for images that the backbone does not take
   */
  embed(images: Tensor, { learner = null }: EmbedOptions = {}): Tensor {
    return scope(() => F.normalize(this.embedUnscaled(images, { learner })));
  }

  /** As embed(), before rows are scaled to length 1. */
  embedUnscaled(images: Tensor, { learner = null }: EmbedOptions = {}): Tensor {
    return scope(() => this.masked(this.unmasked(images), { learner }));
  }

  /** Images (B, 3, H, W) to what the head makes of them (B, D): neither under a mask nor scaled. It belongs to the caller. */
  unmasked(images: Tensor): Tensor {
    return scope(() => this.head.forward(this.pooledFeatures(images)));
  }

  /** Such rows (N, D) under the mask of a learner, or as the whole embedding has them: not scaled. They belong to the caller. */
  masked(rows: Tensor, { learner = null }: EmbedOptions = {}): Tensor {
    return scope(() => {
      const mask = learner === null ? this.fullEmbeddingMask() : this.learnerMasks.learner(learner);
      return mask === null ? rows.view(rows.shape) : rows.mul(mask);
    });
  }

  /** The mask of the whole embedding (D), which does not train and belongs to the caller; null where there is none. */
  fullEmbeddingMask(): Tensor | null {
    const sum = this.fullEmbeddingMasks;
    return sum === null ? null : scope(() => this.learnerMasks.sumForFullEmbedding(sum).detach());
  }

  /** The whole embedding, as embed() without options. */
  forward(images: Tensor): Tensor {
    return this.embed(images);
  }

  private pooledFeatures(images: Tensor): Tensor {
    const pooling = this.pooling === 'gem' ? this.gem! : this.pooling;
    return scope(() => this.featuresDropout.forward(pooledFeatures(this.backbone, images, pooling)));
  }
}

/** @throws OptionError for a pooling that the backbone has no use for, which names the backbones that do */
function requirePooling(backbone: string, pooling: EmbeddingModel['pooling']): void {
  const parts: readonly BackbonePart[] = backbones;
  const part = parts.find((each) => goesBy(each, backbone));
  if (pooling === 'avg' || part?.poolsItself !== true) return;
  const others = parts.filter(({ poolsItself = false }) => !poolsItself).map(({ name }) => name);
  throw new OptionError(
    'pooling',
    `expected avg, as ${backbone} makes one vector of an image in its own way; got ${pooling}, which is for ${others.join(', ')} and their kin`,
  );
}
