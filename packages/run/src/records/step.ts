import { count, finite, isEpoch, isFields } from './fields.js';

/** One line of steps.jsonl: means over the steps since the line before. On a time axis it lies at epoch + (step + 1) / steps. */
export interface StepRecord {
  epoch: number;
  /** The last of the steps, counted from 0, of so many in the epoch. */
  step: number;
  steps: number;
  /** null where every step was skipped. */
  metricLoss: number | null;
  maskLoss: number | null;
  /** null: not known. */
  imagesPerSecond: number | null;
  /** Steps that trained nothing. */
  skipped: number;
  /** Steps that trained, whose loss was 0; not there in earlier versions'. */
  zeroLoss?: number;
  /** Of the images that a miner saw, the share that was the anchor of no tuple; not there where there was no miner. */
  anchorsWithoutTuples?: number;
}

/** A line of steps.jsonl; null for what is none. @param value as JSON.parse gives it */
export function stepRecordOf(value: unknown): StepRecord | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const { epoch } = value;
  const step = finite(value.step);
  const steps = finite(value.steps);
  if (step === null || steps === null || steps < 1 || step < 0) return null;
  const zeroLoss = finite(value.zeroLoss);
  const anchorsWithoutTuples = finite(value.anchorsWithoutTuples);
  return {
    epoch,
    step,
    steps,
    metricLoss: finite(value.metricLoss),
    maskLoss: finite(value.maskLoss),
    imagesPerSecond: finite(value.imagesPerSecond),
    skipped: count(value.skipped),
    ...(zeroLoss !== null && { zeroLoss }),
    ...(anchorsWithoutTuples !== null && { anchorsWithoutTuples }),
  };
}
