import { UserError } from '@conquer-dml/run';
import type { Experiment, Parts } from '../experiment/experiment.js';
import type { LossPart } from '../losses/loss.js';
import { goesBy } from '../part.js';

type Use = [used: (experiment: Experiment, parts: Parts) => boolean, by: string | ((parts: Parts) => string)];

/** What the chosen losses say of themselves; code of one's own says nothing, and may use all. */
const lossesIn = ({ loss }: Experiment, parts: Parts): (LossPart | undefined)[] =>
  [loss].flat().map((chosen) => parts.losses.find(({ name }) => 'name' in chosen && name === chosen.name));
/** '--loss margin, triplet or snr': those that have the fact. */
const lossesWith = (fact: 'usesTuples' | 'learns', parts: Parts) => {
  const names = parts.losses.filter((loss) => loss[fact]).map(({ name }) => name);
  return `--loss ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
};
/** Whether the loss takes what a miner finds, by its kind or as it is told to. */
const isMined = (experiment: Experiment, parts: Parts) => {
  const told = [experiment.loss]
    .flat()
    .some((loss) => ('mined' in loss && loss.mined) || ('weighed' in loss && loss.weighed));
  return told || lossesIn(experiment, parts).some((loss) => loss?.usesTuples !== false);
};
/** Where it is open the data decide: then it is asked once more when they are known. */
const several: Use = [({ divide }) => divide.numLearners !== 1, '--num-learners of 2 or more'];
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
  map: measured,
  'embedding-init-gain': [
    ({ model }) => model.embeddingInit.kind.startsWith('xavier'),
    '--embedding-init xavier-uniform or xavier-normal',
  ],
  'gem-power': [({ model }) => model.pooling === 'gem', '--features-pooling gem'],
  'warmup-from': [({ optimize }) => optimize.warmupEpochs > 0, '--warmup-epochs above 0'],
  hierarchy: several,
  'start-learners': [
    (experiment, parts) => several[0](experiment, parts) && experiment.divide.hierarchy === 'top-down',
    '--hierarchy top-down and --num-learners of 2 or more',
  ],
  'divide-from': several,
  clustering: several,
  recluster: several,
  'cluster-seed': several,
  'cluster-by': several,
  'cluster-sample': several,
  'cluster-layer': several,
  'mask-relu': learnedMasks,
  'mask-lambda': learnedMasks,
  'mask-lr-mult': learnedMasks,
  'freeze-masks-with-one-learner': learnedMasks,
  bn: [
    ({ model: { backbone } }, parts) =>
      parts.backbones.find((part) => 'name' in backbone && goesBy(part, backbone.name))?.batchNorm !== false,
    'an --arch with BatchNorm',
  ],
  margin: [
    (experiment, parts) => {
      const { loss, miner } = experiment;
      const soft = [loss].flat().every((one) => 'soft' in one && one.soft);
      return !soft || ('margin' in miner && isMined(experiment, parts));
    },
    'not --soft yes, or a miner of semihard negatives',
  ],
  'miner-cutoff': [
    (experiment, parts) =>
      [experiment.loss].flat().some((loss) => 'distanceThreshold' in loss) || isMined(experiment, parts),
    '--loss kantorov-margin, or one that takes tuples',
  ],
  miner: [
    isMined,
    (parts) =>
      `${lossesWith('usesTuples', parts)}, or one that is told to take its pairs (--circle-mined yes)`,
  ],
  'loss-lr': [
    (experiment, parts) => lossesIn(experiment, parts).some((loss) => loss?.learns ?? true),
    (parts) => lossesWith('learns', parts),
  ],
  'samples-per-class': [
    ({ data }) => data.sampler.name !== 'random',
    '--sampler adaptive, class-balanced or npairs',
  ],
  'decay-vectors': [({ optimize }) => optimize.weightDecay > 0, '--weight-decay above 0'],
  'mask-wd-mult': [
    (experiment, parts) => experiment.optimize.weightDecay > 0 && learnedMasks[0](experiment, parts),
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
export function unusedOptions(experiment: Experiment, given: readonly string[], parts: Parts): string[] {
  return given.flatMap((name) => {
    const use = uses[name];
    if (use === undefined || use[0](experiment, parts)) return [];
    const [, by] = use;
    return [`--${name} has no effect: it needs ${typeof by === 'string' ? by : by(parts)}`];
  });
}

/** @throws UserError for flags that would do nothing: who gives one believes that it does */
export function refuseUnused(unused: readonly string[]): void {
  if (unused.length > 0)
    throw new UserError(`${unused.join('; ')}. Leave ${unused.length > 1 ? 'them' : 'it'} out`);
}
