/** Numbers in the largest temporary: 64 MB in float32. */
export const BLOCK_NUMBERS = 16 * 2 ** 20;

/** Multiplications of a product on the CPU that is not interrupted: 50 ms on one core, in float64 twice that. */
export const PRODUCTS = 2 ** 31;

/**
 * Blocks of rows, so that `width` numbers for each fit a block.
 *
 * @param products multiplications for each row, where these are what takes long: fewer rows then
 */
export function* rowBlocks(
  total: number,
  width: number,
  products = 0,
): Generator<{ start: number; count: number }> {
  const rows = Math.max(1, Math.floor(Math.min(BLOCK_NUMBERS / width, PRODUCTS / products)));
  for (let start = 0; start < total; start += rows) yield { start, count: Math.min(rows, total - start) };
}
