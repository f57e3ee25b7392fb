import { z } from 'zod';
import type { NamedPart } from '../named-part.js';
import { OptionError } from '../option-error.js';
import { withDefaultsAt } from '../part.js';
import { withClassRatio } from './class-ratio.js';
import type { Dataset, DatasetContext } from './dataset.js';
import type { datasets } from './datasets.js';
import { readExcluded, withoutExcluded } from './excluded.js';
import { openNamed } from './open.js';
import { withValidation } from './validation.js';

/** What an experiment says of its data beside the data set. */
export const dataOptions = z.strictObject({
  trainOn: z
    .enum(['split', 'all'])
    .default('split')
    .describe(
      'the training classes of the split, or all classes there are: for the model that goes live; then nothing is measured',
    ),
  classRatio: z.number().min(0.001).max(1).default(1).describe('share of the classes to train and test on'),
  validationFraction: z
    .number()
    .min(0)
    .max(0.9)
    .default(0)
    .describe(
      'share of the training classes to set aside; the best epoch is chosen on them instead of on the test classes',
    ),
  exclude: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('a CSV file with a column path: images to leave out, as conquer audit writes it'),
});

/** Which images an experiment is about: its section `data`. */
export interface DataOptions extends z.input<typeof dataOptions> {
  dataset: NamedPart<(typeof datasets)[number]>;
}

/**
 * Opens the data set of an experiment, thins its classes out and sets some aside, as its options say.
 *
 * @throws OptionError with the path of the option, such as `data.validationFraction`
 * @throws UserError if the data set cannot be opened
 */
export async function openData(
  { dataset: named, ...given }: DataOptions,
  context: Omit<DatasetContext, 'everyClass'>,
): Promise<Dataset> {
  const { trainOn, classRatio, validationFraction, exclude } = withDefaultsAt('data', dataOptions, given);
  const everyClass = trainOn === 'all';
  if (everyClass && validationFraction > 0) {
    throw new OptionError(
      'data.validationFraction',
      `${validationFraction} of the classes would be set aside, and data.trainOn 'all' trains on every class: leave one of them out`,
    );
  }
  const excluded = exclude === null ? null : await readExcluded(exclude);
  const whole = await openNamed(
    named,
    { ...context, everyClass, excluded: excluded?.listed },
    'data.dataset',
  );
  const dataset = excluded === null ? whole : withoutExcluded(whole, excluded, context.onWarning);
  return withValidation(withClassRatio(dataset, classRatio), validationFraction, context.onWarning);
}
