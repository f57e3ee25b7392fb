import { UserError } from '@conquer/run';
import type { Experiment } from '../experiment/experiment.js';

type Use = [used: (experiment: Experiment) => boolean, by: string];

// Of losses from elsewhere nothing is known: they may use all.
const batchLosses = [
  'triplet-all',
  'triplet-semihard',
  'npairs',
  'kantorov-margin',
  'mc-npair',
  'angular',
  'multi-similarity',
  'histogram',
  'proxy-nca',
  'normalized-softmax',
  'arcface',
  'soft-triple',
];
const unlearnedLosses = [
  'triplet',
  'triplet-all',
  'triplet-semihard',
  'kantorov-margin',
  'contrastive',
  'snr',
  'mc-npair',
  'angular',
  'multi-similarity',
  'histogram',
];
const isOneOf = ({ loss }: Experiment, names: readonly string[]) =>
  'name' in loss && names.includes(loss.name);
const several: Use = [({ divide }) => divide.numLearners > 1, '--num-learners of 2 or more'];
const learnedMasks: Use = [({ model }) => model.masks.kind === 'learned', '--masks learned'];
const measured: Use = [({ data }) => data.trainOn !== 'all', 'classes to test on, not --train-on all'];

/**
 * What each flag needs in order to do anything, where that is not so for all experiments; options of a part need that the
 * part is the one chosen, which `fillExperiment` sees to.
 */
const uses: Record<string, Use> = {
  split: [({ data }) => data.trainOn !== 'all', 'classes to test on, not --train-on all'],
  'train-fraction': [
    ({ data }) => {
      const { dataset } = data;
      return data.trainOn !== 'all' && dataset !== null && 'split' in dataset && dataset.split === 'random';
    },
    '--split random',
  ],
  'val-fraction': measured,
  'best-by': measured,
  'evaluate-untrained': measured,
  'embedding-init-gain': [
    ({ model }) => model.embeddingInit.kind.startsWith('xavier'),
    '--embedding-init xavier-uniform or xavier-normal',
  ],
  hierarchy: several,
  'start-learners': [
    (experiment) => several[0](experiment) && experiment.divide.hierarchy === 'top-down',
    '--hierarchy top-down and --num-learners of 2 or more',
  ],
  'divide-from': several,
  clustering: several,
  recluster: several,
  'cluster-seed': several,
  'cluster-by': several,
  'cluster-layer': several,
  'mask-relu': learnedMasks,
  'mask-lambda': learnedMasks,
  'mask-lr-mult': learnedMasks,
  'freeze-masks-with-one-learner': learnedMasks,
  margin: [({ loss }) => !('soft' in loss && loss.soft), 'not --soft yes'],
  miner: [(experiment) => !isOneOf(experiment, batchLosses), '--loss margin, triplet, contrastive or snr'],
  'loss-lr': [
    (experiment) => !isOneOf(experiment, unlearnedLosses),
    '--loss margin, npairs, proxy-nca, normalized-softmax, arcface or soft-triple',
  ],
  'samples-per-class': [
    ({ data }) => data.sampler.name !== 'random',
    '--sampler adaptive, class-balanced or npairs',
  ],
  'decay-vectors': [({ optimize }) => optimize.weightDecay > 0, '--weight-decay above 0'],
  'mask-wd-mult': [
    (experiment) => experiment.optimize.weightDecay > 0 && learnedMasks[0](experiment),
    '--masks learned and --weight-decay above 0',
  ],
  'lr-after': [() => false, '--resume'],
  'divide-lr-schedule': [({ optimize }) => optimize.divided !== null, '--divide-lr'],
};

/**
 * A sentence for each of these flags that would do nothing beside the rest of the experiment.
 *
 * @param given the flags that somebody asked for; what a recipe or a default holds need not all be used
 */
export function unusedOptions(experiment: Experiment, given: readonly string[]): string[] {
  return given.flatMap((name) => {
    const use = uses[name];
    return use === undefined || use[0](experiment) ? [] : [`--${name} has no effect: it needs ${use[1]}`];
  });
}

/** @throws UserError for flags that would do nothing: who gives one believes that it does */
export function refuseUnused(unused: readonly string[]): void {
  if (unused.length > 0)
    throw new UserError(`${unused.join('; ')}. Leave ${unused.length > 1 ? 'them' : 'it'} out`);
}
