import type { BackbonePart } from '../backbones/backbone.js';
import { backbones } from '../backbones/backbones.js';
import { createBackbone, type ModelName } from '../create-model.js';
import { BUILT_IN } from './built-in.js';
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

const allPublished = () =>
  (backbones as readonly BackbonePart[]).flatMap(({ name: family, published = [] }) =>
    published.map((each) => ({ family, ...each })),
  );

/** The weights that have a public name. */
export function listModels(): ListedModel[] {
  return allPublished().map(({ name, repository, license, gated, input, note }) => ({
    ...{ name, repository, license, gated, input },
    ...(note !== undefined && { note }),
    builtIn: name === BUILT_IN,
    recall: knownRecall(name),
  }));
}

/** Builds the networks without numbers, to count them: of several weights of one network once. */
export function describeModels(listed: readonly ListedModel[]): DescribedModel[] {
  const networks = new Map(
    allPublished().map(({ family, name, shape }) => [name, JSON.stringify([family, shape])]),
  );
  const sizes = new Map<string | undefined, Pick<DescribedModel, 'dim' | 'parameters'>>();
  return listed.map((model) => {
    const network = networks.get(model.name);
    const size = sizes.get(network) ?? sizeOf(model.name as ModelName);
    sizes.set(network, size);
    return { ...model, ...size };
  });
}

function sizeOf(name: ModelName): Pick<DescribedModel, 'dim' | 'parameters'> {
  const backbone = createBackbone(name, { device: 'meta' });
  try {
    const parameters = backbone.parameters().reduce((sum, each) => sum + each.numel(), 0);
    return { dim: backbone.featureSize, parameters };
  } finally {
    backbone.dispose();
  }
}
