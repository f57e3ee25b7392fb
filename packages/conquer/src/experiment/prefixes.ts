import type { Loss } from '../losses/loss.js';
import { OptionError } from '../option-error.js';
import type { Experiment } from './experiment.js';

/**
 * Sees to it that a nested embedding means something.
 *
 * @param ownLoss of somebody's own, which is not built anew for each prefix
 * @throws OptionError where it does not
 */
export function refusePrefixes({ model, divide }: Experiment, ownLoss?: Loss | undefined): void {
  const { prefixes, prefixWeights, embeddingDim, masks } = model;
  if (prefixWeights !== null && prefixWeights.length !== prefixes.length)
    throw new OptionError(
      'model.prefixWeights',
      `expected as many weights as model.prefixes, ${prefixes.length}, got ${prefixWeights.length}`,
    );
  const wrong = prefixes.find(
    (dimensions, i) => dimensions >= embeddingDim || prefixes.indexOf(dimensions) < i,
  );
  if (wrong !== undefined)
    throw new OptionError(
      'model.prefixes',
      `expected each once, and fewer dimensions than the embedding has (${embeddingDim}), got ${wrong}`,
    );
  if (prefixes.length === 0) return;
  if (masks.kind === 'fixed' && divide.numLearners !== 1)
    throw new OptionError(
      'model.prefixes',
      "fixed masks give each learner dimensions of its own, so that a prefix has none of some learners': take model.masks.kind 'learned', or one learner",
    );
  if (ownLoss && ownLoss.parameters().length > 0)
    throw new OptionError(
      'model.prefixes',
      'a loss of your own with something to learn is made for all dimensions: sum PrefixLoss with losses made for each prefix in it',
    );
}
