import { didYouMean, UserError } from '@conquer-dml/run';
import { buildNamed, type NamedPart } from '../named-part.js';
import { firstOf } from '../option-error.js';
import { inWords } from '../out-of-memory.js';
import type { Backbone, BackboneContext, BackbonePart } from './backbones/backbone.js';
import { backbones } from './backbones/backbones.js';
import { EmbeddingModel, type EmbeddingModelOptions } from './embedding-model.js';
import { publicName } from './weights/public-name.js';

type KnownBackbone = (typeof backbones)[number];

/** A name that createModel knows. */
export type ModelName = KnownBackbone['name'];

/** The names that createModel knows. */
export const modelNames: readonly ModelName[] = backbones.flatMap((part: BackbonePart): ModelName[] => [
  ...((part.names ?? [part.name]) as readonly ModelName[]),
]);

/** A backbone as an experiment has it: its name, with options beside it, or the name alone where the defaults will do. */
export type NamedBackbone = ModelName | NamedPart<KnownBackbone>;

/** The options of what is put on the backbone, and how that is built; `generator` draws the weights of both. */
export interface ModelOptions extends EmbeddingModelOptions, Partial<BackboneContext> {}

/**
 * Builds a backbone, untrained: `createBackbone({ name: 'small-resnet', widths: [16, 32] })`.
 *
 * @throws OptionError for a name that is not known, or options that cannot be
 */
export function createBackbone(
  named: NamedBackbone,
  { frozenBatchNorm = false, ...context }: Partial<BackboneContext> = {},
): Backbone {
  const given = typeof named === 'string' ? { name: publicName(named) } : named;
  const parts: readonly BackbonePart[] = backbones;
  try {
    return buildNamed(parts, given, { frozenBatchNorm, ...context }, '');
  } catch (error) {
    const { name, ...options } = given;
    throw inWords(error, `a ${name} with ${JSON.stringify(options)}: a smaller one needs less`);
  }
}

/**
 * A model's name, whatever it was written as: with timm/ in front, or without its tag.
 *
 * @throws UserError for text that is no name of a model
 */
export function modelNameOf(text: string): ModelName {
  const spelled = publicName(text);
  const name = modelNames.find((known) => known === spelled);
  if (name !== undefined) return name;
  throw new UserError(
    `unknown model '${text}'${didYouMean(text, modelNames)}: choose one of ${firstOf(modelNames)}`,
  );
}

/**
 * Builds an embedding model on the backbone of this name, untrained. Images must come as its `backbone.input`
 * says. The caller disposes it.
 *
 * @throws OptionError for a name that is not known, or options that cannot be; UserError for learners that cannot
 */
export function createModel(
  named: NamedBackbone,
  { frozenBatchNorm, ...options }: ModelOptions = {},
): EmbeddingModel {
  const { generator, dropoutGenerator } = options;
  const backbone = createBackbone(named, { frozenBatchNorm, generator, dropoutGenerator });
  try {
    return new EmbeddingModel(backbone, options);
  } catch (error) {
    backbone.dispose();
    throw inWords(
      error,
      `a ${backbone.name} with an embedding of ${options.embeddingDim} dimensions: a smaller one needs less`,
    );
  }
}
