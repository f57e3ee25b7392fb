import { OptionError } from '../option-error.js';

/** Epochs in which the learning rates follow a schedule from its beginning to its end, or stay as they are. */
export interface Course {
  epochs: number;
  held: boolean;
}

/**
 * The courses in a text such as 10+4 or 10+h4, in which h4 holds the last rates for 4 epochs; null: one, of all `epochs`.
 *
 * @throws OptionError for another text
 */
export function coursesIn(text: string | null, epochs: number): Course[] {
  if (text === null) return [{ epochs, held: false }];
  const courses = text.split('+').map((part) => {
    const [, held, epochs] = /^(h?)([1-9]\d{0,8})$/.exec(part) ?? [];
    return { epochs: Number(epochs), held: held === 'h' };
  });
  if (courses[0]?.held || !courses.every(({ epochs }) => epochs > 0)) {
    throw new OptionError(
      'optimize.courses',
      `expected numbers of epochs such as 10+4, or 10+h4 to hold the last rate for 4, got '${text}'`,
    );
  }
  return courses;
}

/** As coursesIn() reads them. */
export const coursesText = (courses: readonly Course[]) =>
  courses.map(({ epochs, held }) => `${held ? 'h' : ''}${epochs}`).join('+');

/** In epochs. */
export const lengthOf = (courses: readonly Course[]) => courses.reduce((sum, { epochs }) => sum + epochs, 0);

/** The last course that follows the schedule, made to end with `epochs`; what is held after it goes. */
export function stretched(courses: readonly Course[], epochs: number): Course[] {
  const last = courses.findLastIndex(({ held }) => !held);
  const before = courses.slice(0, last);
  while (lengthOf(before) >= epochs) before.pop();
  return [...before, { epochs: epochs - lengthOf(before), held: false }];
}
