import type { BackbonePart } from '../backbones/backbone.js';
import { backbones } from '../backbones/backbones.js';
import { BUILT_IN } from './built-in.js';
import { type KnownRecall, knownRecall } from './known-recall.js';
import { networkSizes } from './network-sizes.js';
import type { Published } from './published.js';

/** What there is to know of published weights before they are fetched. */
export interface ListedModel
  extends Pick<Published, 'name' | 'repository' | 'license' | 'licenseChecked' | 'gated' | 'input' | 'note'> {
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

const allPublished = () => (backbones as readonly BackbonePart[]).flatMap(({ published = [] }) => published);

/** The weights that have a public name. */
export function listModels(): ListedModel[] {
  return allPublished().map(({ name, repository, license, licenseChecked, gated, input, note }) => ({
    ...{ name, repository, license, licenseChecked, gated, input },
    ...(note !== undefined && { note }),
    builtIn: name === BUILT_IN,
    recall: knownRecall(name),
  }));
}

/** The same, with how large the networks are. */
export function describeModels(listed: readonly ListedModel[]): DescribedModel[] {
  return listed.map((model) => {
    const { name } = model;
    const size = networkSizes[name] ?? networkSizes[name.slice(0, name.indexOf('.'))];
    if (size === undefined)
      throw new Error(
        `the size of ${name} is not written down: write the table again with scripts/network-sizes.mjs`,
      );
    const [dim, parameters] = size;
    return { ...model, dim, parameters };
  });
}
