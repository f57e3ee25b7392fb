type Fields = { [name: string]: unknown };

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/**
 * Experiments one over the other: a later field takes the place of an earlier one. A part of another name takes the place
 * of the whole part, as the options of the one are none of the other.
 */
export function mergeExperiments<Input extends object>(...layers: readonly Input[]): Input {
  return layers.reduce<Fields>((below, above) => over(below, above as Fields), {}) as Input;
}

function over(below: Fields, above: Fields): Fields {
  const merged = { ...below };
  for (const [name, value] of Object.entries(above)) {
    if (value === undefined) continue;
    const before = merged[name];
    const both = isFields(before) && isFields(value) && !isOtherPart(before, value);
    merged[name] = both ? over(before, value) : value;
  }
  return merged;
}

/** An object with nothing but a value at a path such as `loss.margin`, to be merged over another. */
export const atPath = (path: string, value: unknown) =>
  path
    .split('.')
    .reverse()
    .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as object;

const isOtherPart = (before: Fields, after: Fields) =>
  'own' in before || 'own' in after || ('name' in after && before.name !== after.name);
