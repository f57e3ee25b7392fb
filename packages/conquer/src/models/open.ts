import { didYouMean, UserError } from '@conquer/run';
import type { Generator } from '@conquer/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { inWords } from '../out-of-memory.js';
import { AlexNet } from './alexnet.js';
import type { Backbone } from './backbone.js';
import { BNInception } from './bn-inception.js';
import { EmbeddingModel, type EmbeddingModelOptions } from './embedding-model.js';
import { resNetNames, resnet } from './resnet.js';
import { SmallResNet, type SmallResNetOptions } from './small-resnet.js';
import { VGG, vggNames } from './vgg.js';

export interface BackboneOptions {
  /** BatchNorm keeps its running statistics; its weight and bias still learn. Default false. */
  frozenBatchNorm?: boolean;
  /** Draws the weights; without one, the generator that manualSeed() sets. */
  generator?: Generator;
  /** For 'small-resnet' only. */
  smallResNet?: Omit<SmallResNetOptions, 'frozenBatchNorm' | 'generator'>;
}

/** The options of the backbone and of what is put on it; `generator` draws the weights of both. */
export interface ModelOptions extends EmbeddingModelOptions, BackboneOptions {}

/** All of its options. */
const optionNames: OptionNames<ModelOptions> = {
  embeddingDim: true,
  featuresPooling: true,
  featuresDropout: true,
  embeddingInit: true,
  masks: true,
  generator: true,
  dropoutGenerator: true,
  frozenBatchNorm: true,
  smallResNet: true,
};

/** The names that openModel knows. */
export const modelNames = [...resNetNames, 'small-resnet', 'alexnet', ...vggNames, 'bn-inception'] as const;

/** A name that openModel knows. */
export type ModelName = (typeof modelNames)[number];

type MakeBackbone = (options: BackboneOptions) => Backbone;

const backbones: ReadonlyMap<string, MakeBackbone> = new Map<ModelName, MakeBackbone>([
  ...resNetNames.map((name): [ModelName, MakeBackbone] => [name, (options) => resnet(name, options)]),
  [
    'small-resnet',
    ({ smallResNet, frozenBatchNorm, generator }) =>
      new SmallResNet({ ...smallResNet, frozenBatchNorm, generator }),
  ],
  ['alexnet', ({ generator }) => new AlexNet({ generator })],
  ...vggNames.map((name): [ModelName, MakeBackbone] => [
    name,
    ({ frozenBatchNorm, generator }) => new VGG(name, { frozenBatchNorm, generator }),
  ]),
  ['bn-inception', ({ frozenBatchNorm, generator }) => new BNInception({ frozenBatchNorm, generator })],
]);

/**
 * Builds a backbone by its name, untrained.
 * @throws UserError for a name that is not known
 */
export function openBackbone(name: string, options: BackboneOptions = {}): Backbone {
  const make = backbones.get(modelNameOf(name)) as MakeBackbone;
  return make(options);
}

/** @throws UserError for text that is no name of a model */
export function modelNameOf(text: string): ModelName {
  const name = modelNames.find((known) => known === text);
  if (name !== undefined) return name;
  throw new UserError(
    `unknown model '${text}'${didYouMean(text, modelNames)}: choose one of ${modelNames.join(', ')}`,
  );
}

/**
 * Builds an embedding model on the backbone of this name, untrained. Images must come as its `backbone.input`
 * says. The caller disposes it.
 * @param name one of `modelNames`
 * @throws UserError for a name that is not known, or options that cannot work; RangeError for widths and
 *   depths of small-resnet that do not fit
 */
export function openModel(name: ModelName, options: ModelOptions = {}): EmbeddingModel {
  refuseUnknownOptions('openModel', options, optionNames);
  const backbone = openBackbone(name, options);
  try {
    return new EmbeddingModel(backbone, options);
  } catch (error) {
    backbone.dispose();
    throw inWords(
      error,
      `a ${name} with an embedding of ${options.embeddingDim} dimensions: a smaller one needs less`,
    );
  }
}
