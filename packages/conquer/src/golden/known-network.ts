import { type ModelName, modelNames } from '../models/create-model.js';
import { type Comparison, readText } from './check.js';

/**
 * The network that a case is of. Where it is known, the case begins; elsewhere it is counted as not yet known.
 *
 * @param field of the case, which holds its name
 * @throws GoldenFormatError where there is no name
 */
export function knownNetwork(
  comparison: Comparison,
  item: Record<string, unknown>,
  field: 'arch' | 'timm',
  place: number,
): ModelName | null {
  const text = readText(item[field], `${field} of case ${place}`);
  const name = modelNames.find((known) => known === text) ?? null;
  if (name === null) comparison.notYet(text);
  else comparison.begin();
  return name;
}
