/** Slots of a hash table for so many ids: at most two thirds of them are taken. */
export function slotsFor(count: number): number {
  let slots = 2;
  while (3 * count > 2 * slots) slots *= 2;
  return slots;
}

/** 32 bits of an id: FNV-1a over its UTF-16 units, then mixed as MurmurHash3 ends, since ids differ in their last characters. */
export function hashOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at++) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
