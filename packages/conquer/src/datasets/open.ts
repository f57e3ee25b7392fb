import type { z } from 'zod';
import { buildNamed } from '../named-part.js';
import { withAllClasses } from './all-classes.js';
import type { Dataset, DatasetContext, DatasetPart } from './dataset.js';
import { datasets } from './datasets.js';

type KnownDataset = (typeof datasets)[number];

/** A name that `openDataset` knows. */
export type DatasetName = KnownDataset['name'];

/** The data sets by their names. */
export const datasetNames: readonly DatasetName[] = datasets.map(({ name }) => name);

/** The data set's own options, and what is said about its opening: seed 1 and not every class, unless given. */
export type OpenDatasetOptions<Name extends DatasetName = DatasetName> = Partial<DatasetContext> &
  z.input<Extract<KnownDataset, { name: Name }>['options']>;

/**
 * Opens a data set by its name: `openDataset('folder', { folder: 'photos', split: 'random' })`.
 *
 * @throws OptionError if there is no such data set, or an option is not there or cannot be
 * @throws UserError if it cannot be opened
 */
export async function openDataset<Name extends DatasetName>(
  name: Name,
  ...[given]: object extends OpenDatasetOptions<Name>
    ? [options?: OpenDatasetOptions<Name>]
    : [options: OpenDatasetOptions<Name>]
): Promise<Dataset> {
  const { seed = 1, everyClass = false, excluded, onProgress, onWarning, ...options } = given ?? {};
  return await openNamed({ ...options, name }, { seed, everyClass, excluded, onProgress, onWarning }, '');
}

/** @param path where the data set stands in an experiment, for errors */
export async function openNamed(
  named: { name: string },
  context: DatasetContext,
  path: string,
): Promise<Dataset> {
  const dataset = await buildNamed<DatasetContext, Promise<Dataset>>(
    datasets satisfies readonly DatasetPart[],
    named,
    context,
    path,
  );
  return context.everyClass ? withAllClasses(dataset) : dataset;
}
