import { OptionError } from '../option-error.js';
import { coursesIn, coursesText, lengthOf, stretched } from './courses.js';
import { type LearningRates, lastSchedule } from './learning-rates.js';

/**
 * A run's learning rates with another number of epochs, and with their courses: a schedule that ends with the epochs would
 * jump if it were laid out anew, so that somebody has to say how it goes on.
 *
 * @param before as the run has them
 * @param chosen by the one who asks for more epochs; null: as the run has it
 * @param note told what the learning rates will do, in a line
 * @throws OptionError where there are more epochs than the schedule has, and nobody has said what comes after it; or where
 *   somebody has, and there is nothing to say
 */
export function withEpochs<Rates extends LearningRates>(
  before: Rates,
  epochs: number,
  chosen: LearningRates['afterEnd'],
  note: (text: string) => void,
): Rates {
  const { name: schedule, hasEnd } = lastSchedule(before);
  if (epochs === before.epochs || !hasEnd) {
    if (chosen !== null) {
      throw new OptionError(
        'optimize.afterEnd',
        epochs === before.epochs
          ? `it says what comes after the schedule's end: expected more epochs than the run's ${epochs} with it`
          : `the schedule ${schedule} has no end, and goes on whatever the epochs: leave it out`,
      );
    }
    return { ...before, epochs };
  }
  const courses = coursesIn(before.courses, before.epochs);
  const length = lengthOf(courses);
  const afterEnd = chosen ?? before.afterEnd;
  const added = length + 1 === epochs ? `epoch ${epochs}` : `epochs ${length + 1} to ${epochs}`;
  const rates = { ...before, epochs, afterEnd };
  if (afterEnd === 'stretch') {
    note(`the learning rates go on as in a run laid out for ${epochs} epochs (${schedule})`);
    return { ...rates, courses: coursesText(stretched(courses, epochs)) };
  }
  if (epochs <= length) {
    note(`the learning rates stay as they were laid out for ${length} epochs (${schedule})`);
    return { ...rates, courses: coursesText(courses) };
  }
  if (afterEnd === null) {
    throw new OptionError(
      'optimize.afterEnd',
      `the learning rates follow a schedule (${schedule}) that ends with epoch ${length}: say what they do in ${added}: restart (the schedule once more, from its beginning), hold (they stay as they end) or stretch (as in a run laid out for ${epochs} epochs, to which they jump)`,
    );
  }
  const more = { epochs: epochs - length, held: afterEnd === 'hold' };
  note(
    more.held
      ? `the learning rates of ${added} stay what they are at the end of epoch ${length}`
      : `the learning rates of ${added} follow the schedule (${schedule}) once more, from its beginning`,
  );
  return { ...rates, courses: coursesText([...courses, more]) };
}
