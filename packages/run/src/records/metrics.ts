import { isFields, numbersByName } from './fields.js';

/**
 * Fractions in 0…1 by name: 'R@1', 'R@1 SE' (its standard error over classes), …, 'MAP@R', 'mARP', 'NMI' (mean over the seeds) and, with several seeds,
 * 'NMI std'. Extended: 'MAP@1000' and 'MAP'; beside NMI 'F1' and 'F1 std', by the same clusters; and three
 * that are no fractions, 'rho' (spectral decay), 'intra' and 'inter' (cosine distances within and between
 * classes).
 */
export type Metrics = Record<string, number>;

/**
 * @param value as JSON.parse gives it
 * @returns null where there are none; undefined for what is neither. A number that was NaN is left out
 */
export function metricsOf(value: unknown): Metrics | null | undefined {
  if (value === null || value === undefined) return null;
  if (!isFields(value) || !Object.values(value).every((one) => one === null || typeof one === 'number'))
    return undefined;
  return numbersByName(value);
}
