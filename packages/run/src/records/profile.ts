import { finite, isFields } from './fields.js';

/** The parts of a training step; 'other' is logging, progress and the turn of the event loop between two steps. */
export const stepParts = ['data', 'forward', 'mining', 'loss', 'backward', 'optimizer', 'other'] as const;
export type StepPart = (typeof stepParts)[number];

/** The parts of an epoch; embedding images counts for itself, not for the division or evaluation that asked for it. */
export const epochParts = ['train', 'divide', 'embed', 'evaluate'] as const;
export type EpochPart = (typeof epochParts)[number];

/** Where an epoch's time went, in seconds. `step` are the parts of `epoch.train`. */
export interface EpochProfile {
  steps: number;
  step: Record<StepPart, number>;
  epoch: Record<EpochPart, number>;
}

/** @param value as JSON.parse gives it */
export function profileOf(value: unknown): EpochProfile | null {
  if (!isFields(value)) return null;
  const steps = finite(value.steps);
  const step = secondsOf(value.step, stepParts);
  const epoch = secondsOf(value.epoch, epochParts);
  return steps !== null && step && epoch ? { steps, step, epoch } : null;
}

function secondsOf<Part extends string>(value: unknown, parts: readonly Part[]): Record<Part, number> | null {
  if (!isFields(value) || !parts.every((part) => finite(value[part]) !== null)) return null;
  return Object.fromEntries(parts.map((part) => [part, value[part]])) as Record<Part, number>;
}
