import { UserError } from '@conquer/run';
import { optim } from '@conquer/torch';
import type { TrainSettings } from './options.js';

/** Epochs in which the learning rates follow a schedule from its beginning to its end, or stay as they are. */
interface Course {
  epochs: number;
  held: boolean;
}

/** The schedule that the last epochs follow. */
const lastSchedule = (settings: TrainSettings) =>
  settings['divide-lr'] === null ? settings['lr-schedule'] : settings['divide-lr-schedule'];

/** Whether the schedule is laid out for a number of epochs, and so would be another one with more of them. */
function hasEnd(settings: TrainSettings): boolean {
  return ['cosine', 'one-cycle'].includes(lastSchedule(settings));
}

/** @throws UserError for a text that is not such as 10+4 or 10+h4 */
function coursesOf(settings: TrainSettings): Course[] {
  const text = settings['lr-courses'];
  if (text === null) return [{ epochs: settings.epochs, held: false }];
  const courses = text.split('+').map((part) => {
    const [, held, epochs] = /^(h?)([1-9]\d{0,8})$/.exec(part) ?? [];
    return { epochs: Number(epochs), held: held === 'h' };
  });
  if (courses[0]?.held || !courses.every(({ epochs }) => epochs > 0)) {
    throw new UserError(
      `--lr-courses: expected numbers of epochs such as 10+4, or 10+h4 to hold the last rate for 4, got '${text}'`,
    );
  }
  return courses;
}

const written = (courses: readonly Course[]) =>
  courses.map(({ epochs, held }) => `${held ? 'h' : ''}${epochs}`).join('+');

const lengthOf = (courses: readonly Course[]) => courses.reduce((sum, { epochs }) => sum + epochs, 0);

/**
 * Factor of the learning rates, by epochs passed; null: they stay as they are. The divided training has a schedule of
 * its own where it has a learning rate of its own.
 *
 * @throws UserError for one without the other
 */
export function learningRateOf(settings: TrainSettings): (epoch: number) => number | null {
  const { lr } = settings;
  const divideFrom = settings['divide-from'];
  const divideLr = settings['divide-lr'];
  const warmupEpochs = settings['warmup-epochs'];
  if (divideLr !== null && (divideFrom === 0 || lr === 0)) {
    throw new UserError(
      '--divide-lr is the learning rate from the first division on: expected --divide-from of 1 or more, and --lr above 0',
    );
  }
  const start = (length: number) => {
    const course = scheduleOver(settings['lr-schedule'], length - warmupEpochs, settings);
    return warmupEpochs > 0 ? optim.warmup({ steps: warmupEpochs, next: course }) : course;
  };
  const divided = (length: number) => {
    const course = scheduleOver(settings['divide-lr-schedule'], length, settings);
    return (epoch: number) => ((divideLr ?? lr) / lr) * course(epoch);
  };
  const whole = (length: number) => {
    if (divideLr === null) return start(length);
    const [before, after] = [start(divideFrom), divided(length - divideFrom)];
    return (epoch: number) => (epoch < divideFrom ? before(epoch) : after(epoch - divideFrom));
  };
  const courses = coursesOf(settings);
  if (!hasEnd(settings)) {
    if (settings['lr-courses'] !== null) {
      throw new UserError(
        `--lr-courses: the schedule ${lastSchedule(settings)} has no end, so that it has no courses: leave it out`,
      );
    }
    return whole(settings.epochs);
  }
  let from = 0;
  const factors = courses.map(({ epochs, held }, i) => {
    const begin = from;
    from += epochs;
    // A later course is the schedule once more; of a divided training, that of the divided part.
    const factor = held
      ? null
      : i === 0
        ? whole(epochs)
        : divideLr === null
          ? start(epochs)
          : divided(epochs);
    return { end: from, at: (epoch: number) => factor?.(epoch - begin) ?? null };
  });
  return (epoch) => factors.find(({ end }) => epoch < end)?.at(epoch) ?? null;
}

/** @param length of the schedule, in epochs, where it has an end */
function scheduleOver(
  schedule: TrainSettings['lr-schedule'],
  length: number,
  settings: TrainSettings,
): optim.ScheduleFunction {
  switch (schedule) {
    case 'constant':
      return () => 1;
    case 'step':
      return optim.stepLR({ stepSize: settings['lr-step'], gamma: settings['lr-gamma'] });
    case 'cosine':
      return optim.cosine({ steps: Math.max(length, 1e-9) });
    case 'one-cycle': {
      // oneCycle counts steps; a thousand of them an epoch make it smooth, whatever the batches.
      const steps = Math.max(1, Math.round(length * 1000));
      const cycle = optim.oneCycle({ steps, pctStart: settings['lr-peak'] });
      return (epoch) => cycle(epoch * 1000);
    }
  }
}

/**
 * A run's settings with another number of epochs, and with the courses of its learning rates: a schedule that ends with
 * the epochs would jump if it were laid out anew, so that somebody has to say how it goes on.
 *
 * @param before as the run has them
 * @param chosen by the one who asks for more epochs; null: as the run has it
 * @param note told what the learning rates will do, in a line
 * @throws UserError where there are more epochs than the schedule has, and nobody has said what comes after it
 */
export function withEpochs(
  before: TrainSettings,
  epochs: number,
  chosen: TrainSettings['lr-after'],
  note: (text: string) => void,
): TrainSettings {
  const schedule = lastSchedule(before);
  if (epochs === before.epochs || !hasEnd(before)) {
    if (chosen !== null) {
      throw new UserError(
        epochs === before.epochs
          ? `--lr-after says what comes after the schedule's end: give --epochs more than the run's ${epochs} with it`
          : `--lr-after: the schedule ${schedule} has no end, and goes on whatever the epochs: leave it out`,
      );
    }
    return { ...before, epochs };
  }
  const courses = coursesOf(before);
  const length = lengthOf(courses);
  const after = chosen ?? before['lr-after'];
  const added = length + 1 === epochs ? `epoch ${epochs}` : `epochs ${length + 1} to ${epochs}`;
  if (after === null) {
    if (epochs <= length) {
      note(`the learning rates stay as they were laid out for ${length} epochs (${schedule})`);
      return { ...before, epochs, 'lr-courses': written(courses) };
    }
    throw new UserError(
      `the learning rates follow a schedule (${schedule}) that ends with epoch ${length}: say what they do in ${added} by --lr-after restart (the schedule once more, from its beginning), hold (they stay as they end) or stretch (as in a run laid out for ${epochs} epochs, to which they jump)`,
    );
  }
  const settings = { ...before, epochs, 'lr-after': after };
  if (after === 'stretch') {
    note(`the learning rates go on as in a run laid out for ${epochs} epochs (${schedule})`);
    return { ...settings, 'lr-courses': written(stretched(courses, epochs)) };
  }
  if (epochs <= length) {
    note(`the learning rates stay as they were laid out for ${length} epochs (${schedule})`);
    return { ...settings, 'lr-courses': written(courses) };
  }
  const more = { epochs: epochs - length, held: after === 'hold' };
  note(
    more.held
      ? `the learning rates of ${added} stay what they are at the end of epoch ${length}`
      : `the learning rates of ${added} follow the schedule (${schedule}) once more, from its beginning`,
  );
  return { ...settings, 'lr-courses': written([...courses, more]) };
}

/** The last course that follows the schedule, made to end with `epochs`. */
function stretched(courses: readonly Course[], epochs: number): Course[] {
  const last = courses.findLastIndex(({ held }) => !held);
  const before = courses.slice(0, last);
  while (lengthOf(before) >= epochs) before.pop();
  return [...before, { epochs: epochs - lengthOf(before), held: false }];
}
