import { UserError } from '@conquer-dml/run';
import { ownInGallery } from '../data/file-identity.js';
import type { Dataset } from './dataset.js';
import { withoutMatch, withoutMatchWarning } from './matches.js';
import { type RepeatedFilesOptions, withoutRepeatedFiles } from './repeated-files.js';

/**
 * A data set whose files stand for one image each, see `withoutRepeatedFiles`, and a warning for each set of queries of
 * which some can find nothing.
 *
 * @throws UserError where there are files with two labels, in training and in test, or no query that can find anything
 */
export async function withCheckedFiles(dataset: Dataset, options: RepeatedFilesOptions): Promise<Dataset> {
  const { source, onWarning } = options;
  const checked = await withoutRepeatedFiles(dataset, options);
  await tellUnmatched(checked, source, onWarning);
  return checked;
}

/**
 * A warning for each set of queries of which some can find nothing.
 * @throws UserError where none can
 */
export async function tellUnmatched(
  dataset: Dataset,
  source: string,
  onWarning?: ((message: string) => void) | undefined,
): Promise<void> {
  const { test, gallery = null, validation, testSets = [test] } = dataset;
  const own = gallery ? await ownInGallery(test.paths, gallery.paths) : undefined;
  for (const queries of [validation, ...testSets]) {
    if (!queries || queries.paths.length === 0) continue;
    const searched = queries === test ? gallery : null;
    if (withoutMatch(queries, searched, own) === queries.labels.length) {
      throw new UserError(
        `${source}: expected ${queries.name} images of which some have another one of their class to find, and not only their own file`,
      );
    }
    const warning = withoutMatchWarning(queries, searched, own);
    if (warning !== null) onWarning?.(`${source}: ${warning}`);
  }
}
