import { UserError } from '@conquer/run';
import { hindrances } from '../train/start.js';
import { startsAtRandom, type TrainSettings } from './options.js';

/** What random weights need. */
export const withoutWeights = '--weights none --bn trained --lr 0.001';

const waysOn = `start from pretrained weights (--weights imagenet, or --recipe photos for a folder of photographs), or train random ones (${withoutWeights})`;

/** What of these settings keeps the network from learning, and what to do; null where nothing does. */
export function startWarning(settings: TrainSettings): string | null {
  const { lr, bn, arch } = settings;
  const found = hindrances({
    randomWeights: startsAtRandom(settings),
    frozenBatchNorm: bn === 'frozen' && arch !== 'alexnet' && arch !== 'vgg11',
    learningRate: lr * Math.max(1, settings['embedding-lr-mult']),
  });
  if (found.length === 0) return null;
  return lr === 0 ? `${found.join(', and ')} (--lr)` : `${found.join(', and ')}: ${waysOn}`;
}

/** Whether nothing was said of how to start, by a recipe or the command line: what they hold. */
export function isDefaultStart(...layers: readonly Record<string, unknown>[]): boolean {
  return !['weights', 'bn', 'lr'].some((name) => layers.some((layer) => Object.hasOwn(layer, name)));
}

/**
 * Refuses a default start that cannot learn: the defaults are those of the authors, who start from pretrained weights, and
 * these have to be fetched or given.
 *
 * @throws UserError that names the ways on
 */
export function refuseDefaultStart(settings: TrainSettings): void {
  if (startWarning(settings) === null) return;
  throw new UserError(
    `a ${settings.arch} of random weights learns nothing with the default settings, which are for pretrained ones: ${waysOn}`,
  );
}
