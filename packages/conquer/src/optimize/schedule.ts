import type { AnyPart } from '../part.js';

/** What is known when a schedule is laid out. */
export interface ScheduleContext {
  /** Epochs from its beginning to its end, for a schedule that has one. */
  length: number;
}

/** Factor of the learning rates, by the epochs since the schedule's beginning. */
export type Factor = (epoch: number) => number;

/** A course of the learning rates as an experiment names it. */
export interface SchedulePart extends AnyPart<ScheduleContext, Factor> {
  /** Whether it is laid out for a number of epochs, and so would be another one with more of them. */
  readonly hasEnd: boolean;
}
