import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { buildNamed } from '../named-part.js';
import { OptionError } from '../option-error.js';
import { coursesIn } from './courses.js';
import { type ChosenSchedule, schedules } from './schedules.js';

/** Of pretrained weights the authors'; drawn at random they learn next to nothing below 1e-4 (docs/recipes.md). */
const learningRates = { pretrained: 1e-5, random: 1e-3 };

/** What an experiment says of its learning rates, besides the schedules. */
export const learningRateOptions = z.strictObject({
  learningRate: z
    .number()
    .min(0)
    .nullable()
    .default(null)
    .describe(
      `of backbone and embedding; null: ${learningRates.pretrained} for pretrained weights, ${learningRates.random} for weights drawn at random`,
    ),
  warmupEpochs: z
    .number()
    .min(0)
    .default(0)
    .describe('epochs in which the learning rates rise, in a straight line'),
  warmupFrom: z
    .number()
    .min(0)
    .max(1)
    .default(1 / 3)
    .describe('share of the learning rates at which they begin to rise'),
  courses: z
    .string()
    .nullable()
    .default(null)
    .describe(
      'epochs of each course of a schedule with an end: 10+4; 10+h4 holds the last rate; null: one, of all epochs',
    ),
  afterEnd: z
    .enum(['restart', 'hold', 'stretch'])
    .nullable()
    .default(null)
    .describe('what a schedule with an end does in added epochs: once more, its last rate, or laid out anew'),
});

/** The divided training's own learning rate, and the schedule that it follows from the first division on. */
export const dividedLearningRate = z.number().min(0).describe('at which the divided training starts');

/** The learning rates of an experiment. */
export interface LearningRates extends Omit<z.output<typeof learningRateOptions>, 'learningRate'> {
  /** Of the backbone, before any factor. */
  learningRate: number;
  schedule: ChosenSchedule;
  /** null: the schedule that there is goes on. */
  divided: { learningRate: number; schedule: ChosenSchedule } | null;
  epochs: number;
  /** The epoch of the first division. */
  divideFrom: number;
}

/** The learning rate of an experiment, which may leave it to how the backbone's weights start. */
export function startingLearningRate(given: number | null, pretrained: boolean): number {
  return given ?? learningRates[pretrained ? 'pretrained' : 'random'];
}

/** The schedule that the last epochs follow. */
export function lastSchedule({ schedule, divided }: Pick<LearningRates, 'schedule' | 'divided'>) {
  const { name } = divided?.schedule ?? schedule;
  const { hasEnd } = schedules.find((one) => one.name === name)!;
  return { name, hasEnd };
}

/**
 * Factor of the learning rates, by epochs passed; null: they stay as they are. The divided training has a schedule of
 * its own where it has a learning rate of its own.
 *
 * @throws OptionError for one without the other, and for courses of a schedule without an end
 */
export function learningRateFactor(rates: LearningRates): (epoch: number) => number | null {
  const { learningRate, warmupEpochs, warmupFrom, divideFrom, divided: own } = rates;
  if (own !== null && (divideFrom === 0 || learningRate === 0)) {
    throw new OptionError(
      'optimize.divided.learningRate',
      `is that from the first division on: expected epochs before it, and a learning rate above 0 for them, got ${divideFrom} epochs and ${learningRate}`,
    );
  }
  const start = (length: number) => {
    const course = buildNamed(
      schedules,
      rates.schedule,
      { length: length - warmupEpochs },
      'optimize.schedule',
    );
    return warmupEpochs > 0 ? optim.warmup({ steps: warmupEpochs, start: warmupFrom, next: course }) : course;
  };
  // A later course is the schedule once more; of a divided training, that of the divided part.
  let whole = start;
  let again = start;
  if (own !== null) {
    again = (length) => {
      const course = buildNamed(schedules, own.schedule, { length }, 'optimize.divided.schedule');
      return (epoch) => (own.learningRate / learningRate) * course(epoch);
    };
    whole = (length) => {
      const [before, after] = [start(divideFrom), again(length - divideFrom)];
      return (epoch) => (epoch < divideFrom ? before(epoch) : after(epoch - divideFrom));
    };
  }
  const { name, hasEnd } = lastSchedule(rates);
  if (!hasEnd) {
    if (rates.courses === null) return whole(rates.epochs);
    throw new OptionError(
      'optimize.courses',
      `the schedule ${name} has no end, so that it has no courses: leave it out`,
    );
  }
  let from = 0;
  const factors = coursesIn(rates.courses, rates.epochs).map(({ epochs, held }, i) => {
    const begin = from;
    from += epochs;
    const factor = held ? null : (i === 0 ? whole : again)(epochs);
    return { end: from, at: (epoch: number) => factor?.(epoch - begin) ?? null };
  });
  return (epoch) => factors.find(({ end }) => epoch < end)?.at(epoch) ?? null;
}
