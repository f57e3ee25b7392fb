import type { NamedPart } from '../named-part.js';
import { constant } from './constant.js';
import { cosine } from './cosine.js';
import { oneCycle } from './one-cycle.js';
import type { SchedulePart } from './schedule.js';
import { step } from './step.js';

/** The schedules that an experiment can name. */
export const schedules = [constant, step, cosine, oneCycle] as const satisfies readonly SchedulePart[];

/** A schedule as it stands in an experiment. */
export type ChosenSchedule = NamedPart<(typeof schedules)[number]>;
