type Plain = string | number | boolean | null | Plain[] | { [name: string]: Plain };

/** The numbers, texts and plain lists and objects in a value; undefined for anything else. */
function plainOf(value: unknown): Plain | undefined {
  if (value === null || ['string', 'boolean'].includes(typeof value)) return value as Plain;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value)) return value.map((item) => plainOf(item) ?? null);
  if (typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  return plainFields(value as object, []);
}

function plainFields(value: object, without: readonly string[]): { [name: string]: Plain } {
  const entries = Object.entries(value).flatMap(([name, field]): [string, Plain][] => {
    const plain = without.includes(name) ? undefined : plainOf(field);
    return plain === undefined ? [] : [[name, plain]];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * What can be seen of the options that a part was made with: its fields of numbers, text, and plain lists and objects of
 * these, as JSON. So a run that goes on can be told when a loss or miner of one's own is set otherwise than it was.
 */
export function optionsOf(part: object): string {
  return JSON.stringify(plainFields(part, ['training', 'usesReference'])); // a module's mode and kind, no options
}
