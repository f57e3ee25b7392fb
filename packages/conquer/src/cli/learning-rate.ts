import { UserError } from '@conquer/run';
import { type LearningRates, learningRateFactor } from '../optimize/learning-rates.js';
import { withEpochs as ratesWithEpochs } from '../optimize/more-epochs.js';
import type { ChosenSchedule } from '../optimize/schedules.js';
import { OptionError } from '../option-error.js';
import type { TrainSettings } from './options.js';

/** The flags of what can be wrong with the learning rates as a whole. */
const flags: Record<string, string> = {
  'optimize.courses': '--lr-courses',
  'optimize.afterEnd': '--lr-after',
  'optimize.divided.learningRate': '--divide-lr',
};

function namingFlags<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new UserError(`${flags[error.path] ?? error.path}: ${error.problem}`);
  }
}

function ratesOf(settings: TrainSettings): LearningRates {
  const scheduleOf = (name: TrainSettings['lr-schedule']): ChosenSchedule => {
    if (name === 'step') return { name, stepSize: settings['lr-step'], gamma: settings['lr-gamma'] };
    return name === 'one-cycle' ? { name, peak: settings['lr-peak'] } : { name };
  };
  const divided = settings['divide-lr'];
  return {
    learningRate: settings.lr,
    schedule: scheduleOf(settings['lr-schedule']),
    warmupEpochs: settings['warmup-epochs'],
    courses: settings['lr-courses'],
    afterEnd: settings['lr-after'],
    divided:
      divided === null
        ? null
        : { learningRate: divided, schedule: scheduleOf(settings['divide-lr-schedule']) },
    epochs: settings.epochs,
    divideFrom: settings['divide-from'],
  };
}

/** learningRateFactor() of settings. */
export function learningRateOf(settings: TrainSettings): (epoch: number) => number | null {
  return namingFlags(() => learningRateFactor(ratesOf(settings)));
}

/** withEpochs() of settings. */
export function withEpochs(
  before: TrainSettings,
  epochs: number,
  chosen: TrainSettings['lr-after'],
  note: (text: string) => void,
): TrainSettings {
  const rates = namingFlags(() => ratesWithEpochs(ratesOf(before), epochs, chosen, note));
  return { ...before, epochs, 'lr-after': rates.afterEnd, 'lr-courses': rates.courses };
}
