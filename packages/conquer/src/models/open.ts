import type { Generator } from '@conquer/torch';
import { UserError } from '../error.js';
import type { Backbone } from './backbone.js';
import { EmbeddingModel, type EmbeddingModelOptions } from './embedding-model.js';
import { resNetNames, resnet } from './resnet.js';
import { SmallResNet, type SmallResNetOptions } from './small-resnet.js';

export interface BackboneOptions {
  /** BatchNorm keeps its running statistics; its weight and bias still learn. */
  frozenBatchNorm?: boolean;
  generator?: Generator;
  /** For 'small-resnet' only. */
  smallResNet?: Omit<SmallResNetOptions, 'frozenBatchNorm' | 'generator'>;
}

export interface ModelOptions extends EmbeddingModelOptions, BackboneOptions {}

const backbones: ReadonlyMap<string, (options: BackboneOptions) => Backbone> = new Map([
  ...resNetNames.map(
    (name) => [name, (options: BackboneOptions): Backbone => resnet(name, options)] as const,
  ),
  [
    'small-resnet',
    ({ smallResNet, frozenBatchNorm, generator }: BackboneOptions): Backbone =>
      new SmallResNet({ ...smallResNet, frozenBatchNorm, generator }),
  ] as const,
]);

/** The names that openModel knows. */
export const modelNames: readonly string[] = [...backbones.keys()];

/**
 * Builds a backbone by its name, untrained.
 * @throws UserError for a name that is not known
 */
export function openBackbone(name: string, options: BackboneOptions = {}): Backbone {
  const make = backbones.get(name);
  if (make === undefined)
    throw new UserError(`unknown model '${name}': choose one of ${modelNames.join(', ')}`);
  return make(options);
}

/**
 * Builds an embedding model on the backbone of this name. Images must come as its `backbone.input` says.
 * @throws UserError for a name that is not known
 */
export function openModel(name: string, options: ModelOptions = {}): EmbeddingModel {
  return new EmbeddingModel(openBackbone(name, options), options);
}
