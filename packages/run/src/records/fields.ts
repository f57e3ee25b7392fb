// What is read from a run's folder may be anything: these look at a value as JSON.parse gives it.

/** An object of JSON. */
export type Fields = Record<string, unknown>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A number, null for all else: JSON has null where a number was NaN or infinite. */
export const finite = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;

/** A number that is not negative, 0 for all else. */
export const count = (value: unknown): number => Math.max(0, finite(value) ?? 0);

/** Counted from 0; -1: before training. */
export const isEpoch = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= -1;

/** The numbers among the values of an object; null for what is none. */
export function numbersByName(value: unknown): Record<string, number> | null {
  if (!isFields(value)) return null;
  const entries = Object.entries(value).filter(([, number]) => finite(number) !== null);
  // fromEntries makes own properties, also of '__proto__'.
  return Object.fromEntries(entries) as Record<string, number>;
}
