import { UserError } from '@conquer/run';
import type { OptionName, TrainSettings } from './options.js';

type Use = [used: (settings: TrainSettings) => boolean, by: string];

const losses = (...names: TrainSettings['loss'][]): Use => [
  ({ loss }) => names.includes(loss),
  names.length === 1 ? `--loss ${names[0]}` : `--loss ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`,
];
const takesTuples = ({ loss }: TrainSettings) => ['margin', 'triplet', 'contrastive', 'snr'].includes(loss);
const schedules = (settings: TrainSettings) => [
  settings['lr-schedule'],
  ...(settings['divide-lr'] === null ? [] : [settings['divide-lr-schedule']]),
];
const several: Use = [(settings) => settings['num-learners'] > 1, '--num-learners of 2 or more'];
const learnedMasks: Use = [({ masks }) => masks === 'learned', '--masks learned'];
const isEmoji = ({ dataset }: TrainSettings) => dataset === 'emoji' || dataset === 'emoji-tones';
const ownClasses: Use = [
  (settings) =>
    settings['train-on'] !== 'all' && (settings.dataset === 'folder' || settings.dataset === 'csv'),
  '--dataset folder or csv, and not --train-on all',
];
const measured: Use = [
  (settings) => settings['train-on'] !== 'all',
  'classes to test on, not --train-on all',
];

/** What each option needs in order to do anything, where that is not so for all settings. */
const uses: Partial<Record<OptionName, Use>> = {
  'dataset-dir': [
    (settings) => !isEmoji(settings),
    'a data set of files, such as --dataset folder: emoji come with the program',
  ],
  'allow-partial': [
    (settings) => !isEmoji(settings) && settings.dataset !== 'folder',
    'a published data set, or --dataset csv',
  ],
  split: ownClasses,
  'train-fraction': [(settings) => settings.split === 'random' && ownClasses[0](settings), '--split random'],
  'val-fraction': measured,
  'best-by': measured,
  'evaluate-untrained': measured,

  widths: [({ arch }) => arch === 'small-resnet', '--arch small-resnet'],
  bn: [({ arch }) => arch !== 'alexnet' && arch !== 'vgg11', 'a backbone with BatchNorm'],
  'embedding-init-gain': [
    (settings) => settings['embedding-init'].startsWith('xavier'),
    '--embedding-init xavier-uniform or xavier-normal',
  ],

  hierarchy: several,
  'start-learners': [
    (settings) => several[0](settings) && settings.hierarchy === 'top-down',
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

  margin: [
    (settings) =>
      ['margin', 'triplet-all', 'kantorov-margin', 'snr'].includes(settings.loss) ||
      (['triplet', 'triplet-semihard'].includes(settings.loss) && settings.soft === 'no') ||
      (takesTuples(settings) && settings.miner.endsWith('-semihard')),
    'a margin, triplet or snr loss, not --soft yes, or a miner of semihard negatives',
  ],
  soft: losses('triplet', 'triplet-semihard'),
  average: losses('triplet', 'snr', 'multi-similarity'),
  alpha: losses('npairs'),
  beta: losses('margin', 'kantorov-margin'),
  'beta-per-class': losses('margin'),
  nu: losses('margin'),
  temperature: losses('normalized-softmax'),
  'label-smoothing': losses('normalized-softmax'),
  'pos-margin': losses('contrastive'),
  'neg-margin': losses('contrastive'),
  'squared-distances': losses('triplet'),
  'snr-lambda': losses('snr'),
  'angular-alpha': losses('angular'),
  'angular-weight': losses('angular'),
  'ms-pos-weight': losses('multi-similarity'),
  'ms-neg-weight': losses('multi-similarity'),
  'ms-margin': losses('multi-similarity'),
  'ms-threshold': losses('multi-similarity'),
  'histogram-bins': losses('histogram'),
  'proxy-scale': losses('proxy-nca'),
  'arcface-margin': losses('arcface'),
  'arcface-scale': losses('arcface'),
  'soft-triple-centres': losses('soft-triple'),
  'soft-triple-scale': losses('soft-triple'),
  'soft-triple-margin': losses('soft-triple'),
  'soft-triple-gamma': losses('soft-triple'),
  'soft-triple-tau': losses('soft-triple'),
  'loss-lr': losses('margin', 'npairs', 'proxy-nca', 'normalized-softmax', 'arcface', 'soft-triple'),
  miner: [takesTuples, '--loss margin, triplet, contrastive or snr'],
  'miner-cutoff': [
    (settings) =>
      settings.loss === 'kantorov-margin' ||
      (takesTuples(settings) && ['distance-weighted', 'easy-positive'].includes(settings.miner)),
    '--miner distance-weighted or easy-positive for a loss that takes tuples, or --loss kantorov-margin',
  ],

  'small-class-action': [({ sampler }) => sampler === 'adaptive', '--sampler adaptive'],
  'min-classes': [({ sampler }) => sampler === 'random', '--sampler random'],
  'samples-per-class': [
    ({ sampler }) => sampler !== 'random',
    '--sampler adaptive, class-balanced or npairs',
  ],

  'adam-beta2': [({ optimizer }) => optimizer !== 'sgd', '--optimizer adam or adamw'],
  'decay-vectors': [(settings) => settings['weight-decay'] > 0, '--weight-decay above 0'],
  'mask-wd-mult': [
    (settings) => settings['weight-decay'] > 0 && learnedMasks[0](settings),
    '--masks learned and --weight-decay above 0',
  ],
  'lr-step': [(settings) => schedules(settings).includes('step'), '--lr-schedule step'],
  'lr-gamma': [(settings) => schedules(settings).includes('step'), '--lr-schedule step'],
  'lr-after': [() => false, '--resume'],
  'lr-peak': [(settings) => schedules(settings).includes('one-cycle'), '--lr-schedule one-cycle'],
  'divide-lr-schedule': [(settings) => settings['divide-lr'] !== null, '--divide-lr'],
};

/**
 * A sentence for each of these options that would do nothing beside the other settings.
 *
 * @param given the options that somebody asked for; what a recipe or a default holds need not all be used
 */
export function unusedOptions(settings: TrainSettings, given: readonly string[]): string[] {
  return given.flatMap((name) => {
    const use = uses[name as OptionName];
    return use === undefined || use[0](settings) ? [] : [`--${name} has no effect: it needs ${use[1]}`];
  });
}

/** @throws UserError for an option that would do nothing: who gives one believes that it does */
export function refuseUnusedOptions(settings: TrainSettings, given: readonly string[]): void {
  const unused = unusedOptions(settings, given);
  if (unused.length > 0)
    throw new UserError(`${unused.join('; ')}. Leave ${unused.length > 1 ? 'them' : 'it'} out`);
}
