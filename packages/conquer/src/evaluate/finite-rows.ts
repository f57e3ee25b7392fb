import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor } from '@conquer-dml/torch';

/** Rows named in a message. */
const SHOWN = 3;

/**
 * Sees to it that every row is finite. NaN has no neighbours, and what is computed from it says nothing.
 *
 * @param rows (N, D), each of length 1
 * @param nameOf what a row is of
 * @throws UserError that counts the rows that are not, names the first ones, and says what to look at
 */
export function requireFiniteRows(rows: Tensor, nameOf: (row: number) => string): void {
  const sums = scope(() => noGrad(() => rows.sum(1).toNumbers()));
  const broken = Array.from(sums.keys()).filter((row) => !Number.isFinite(sums[row]));
  if (broken.length === 0) return;
  const names = broken.slice(0, SHOWN).map(nameOf).join(', ');
  const more = broken.length > SHOWN ? ' and others' : '';
  throw new UserError(
    `the embeddings of ${broken.length} of ${sums.length} images are NaN or infinite (${names}${more}): ` +
      'the weights are damaged, or the training has diverged; look at the file of weights, or train with a lower learning rate (optimize.learningRate)',
  );
}
