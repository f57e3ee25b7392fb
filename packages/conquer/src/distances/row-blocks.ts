/** Numbers in the largest temporary: 64 MB in float32. */
export const BLOCK_NUMBERS = 16 * 2 ** 20;

/** Blocks of rows, so that `width` numbers for each fit a block. */
export function* rowBlocks(total: number, width: number): Generator<{ start: number; count: number }> {
  const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / width));
  for (let start = 0; start < total; start += rows) yield { start, count: Math.min(rows, total - start) };
}
