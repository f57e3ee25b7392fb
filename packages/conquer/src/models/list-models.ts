import type { BackbonePart } from './backbone.js';
import { backbones } from './backbones.js';
import { BUILT_IN } from './built-in.js';
import { createBackbone, type ModelName } from './create-model.js';
import { type KnownRecall, knownRecall } from './known-recall.js';
import type { Published } from './published.js';

/** What there is to know of published weights before they are fetched. */
export interface ListedModel
  extends Pick<Published, 'name' | 'repository' | 'license' | 'gated' | 'input' | 'note'> {
  /** Whether they come with the program. */
  builtIn: boolean;
  /** Measured without training; null: by nobody that we could name. */
  recall: KnownRecall | null;
}

/** The same with what is only known of the network itself. */
export interface DescribedModel extends ListedModel {
  /** D, of an embedding without a layer of ours. */
  dim: number;
  /** Numbers that are trained. */
  parameters: number;
}

/** The weights that have a public name. */
export function listModels(): ListedModel[] {
  const all = (backbones as readonly BackbonePart[]).flatMap(({ published = [] }) => [...published]);
  return all.map(({ name, repository, license, gated, input, note }) => ({
    ...{ name, repository, license, gated, input },
    ...(note !== undefined && { note }),
    builtIn: name === BUILT_IN,
    recall: knownRecall(name),
  }));
}

/** Builds the network without numbers, to count them. */
export function describeModel(listed: ListedModel): DescribedModel {
  const backbone = createBackbone(listed.name as ModelName, { device: 'meta' });
  try {
    const parameters = backbone.parameters().reduce((sum, each) => sum + each.numel(), 0);
    return { ...listed, dim: backbone.featureSize, parameters };
  } finally {
    backbone.dispose();
  }
}
