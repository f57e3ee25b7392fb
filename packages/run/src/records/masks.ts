import { finite, isEpoch, isFields } from './fields.js';

/** A line of masks.jsonl: the learners' masks at the end of an epoch, as they are applied. (K, D) */
export interface MaskRecord {
  epoch: number;
  masks: Float32Array[];
}

/** A line of masks.jsonl; null for what is none. @param value as JSON.parse gives it */
export function maskRecordOf(value: unknown): MaskRecord | null {
  if (!isFields(value) || !isEpoch(value.epoch) || !Array.isArray(value.masks)) return null;
  const { epoch, masks } = value;
  const [first] = masks;
  if (!Array.isArray(first) || first.length === 0) return null;
  if (!masks.every((mask) => Array.isArray(mask) && mask.length === first.length)) return null;
  const rows = (masks as unknown[][]).map((mask) => Float32Array.from(mask, (number) => finite(number) ?? 0));
  return { epoch, masks: rows };
}
