import type { nn, Tensor } from '@conquer-dml/torch';
import { cat, F } from '@conquer-dml/torch';

export interface PositionGrid {
  /** Tokens at the front that lie nowhere in the image: class and registers. */
  prefix: number;
  /** Rows and columns of patches that the table is for. */
  from: readonly [number, number];
  /** Rows and columns that it is wanted for. */
  to: readonly [number, number];
  /**
   * Whether the bicubic resampling smooths. It changes the kernel (a -0.5 instead of -0.75), so that enlarging differs, too:
   * a family's weights want what their own library does.
   */
  antialias: boolean;
}

/**
 * Learned positions (1, prefix + from rows · columns, C) for images of another size: (1, prefix + to rows · columns, C). The table
 * itself where nothing changes; what is new belongs to the caller's scope, or is kept in `kept` for the next images of that size.
 */
export function resamplePositions(
  table: Tensor,
  { prefix, from, to, antialias }: PositionGrid,
  kept: nn.Derived<Tensor>,
): Tensor {
  if (from[0] === to[0] && from[1] === to[1]) return table;
  return kept.of([table], `${to}`, () => {
    const [, tokens = 0, width = 0] = table.shape;
    const grid = table
      .narrow(1, prefix, tokens - prefix)
      .reshape([1, ...from, width])
      .permute([0, 3, 1, 2]);
    const resized = F.interpolate(grid, { size: to, mode: 'bicubic', antialias });
    const patches = resized.flatten(2).transpose(1, 2);
    return prefix === 0 ? patches.contiguous() : cat([table.narrow(1, 0, prefix), patches], 1);
  });
}
