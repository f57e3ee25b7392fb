/**
 * Numbers N rows of integers from 0 in the order in which they first come; equal rows have one number. Without a text or an object a
 * row, as keys of a Map would be.
 *
 * @param rows (N, width)
 * @param counts whether a row has a number; else it has -1
 */
export function numberRows(rows: Int32Array, width: number, counts: (row: number) => boolean): Int32Array {
  const count = rows.length / width;
  const numbers = new Int32Array(count).fill(-1);
  // Of a power of two, at most half full: the first row of each number, plus 1, at its hash or behind.
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2)));
  const mask = table.length - 1;
  let next = 0;
  for (let row = 0; row < count; row++) {
    if (!counts(row)) continue;
    let place = hash(rows, row * width, width) & mask;
    while (table[place] !== 0 && !areEqual(rows, (table[place]! - 1) * width, row * width, width))
      place = (place + 1) & mask;
    if (table[place] === 0) {
      table[place] = row + 1;
      numbers[row] = next++;
    } else numbers[row] = numbers[table[place]! - 1]!;
  }
  return numbers;
}

/** As MurmurHash3 mixes: inodes one after the other lie apart. */
function hash(rows: Int32Array, start: number, width: number): number {
  let mixed = 0;
  for (let at = start; at < start + width; at++) {
    mixed = Math.imul(mixed ^ rows[at]!, 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    mixed ^= mixed >>> 16;
  }
  return mixed;
}

function areEqual(rows: Int32Array, a: number, b: number, width: number): boolean {
  for (let i = 0; i < width; i++) if (rows[a + i] !== rows[b + i]) return false;
  return true;
}
