import { aten, cat, scope, type Tensor, tensor } from '@conquer-dml/torch';

/** How a family turns queries and keys by where their patch lies (Su et al., arXiv 2104.09864, in two dimensions). */
export type RopeShape =
  /** Places of -1 to 1, halves of a head turned against each other. */
  | { kind: 'halves'; temperature: number }
  /** Places counted in patches of a grid of `grid` a side, from `offset` on; neighbouring numbers of a head turned. */
  | { kind: 'pairs'; grid: number; offset: number; columnsFirst: boolean };

/** Sine and cosine of each token's angles, (prefix + rows · columns, size of a head) each. They belong to the caller. */
export interface RopeTables {
  sin: Tensor;
  cos: Tensor;
}

/**
 * The angles of the patches of an image.
 *
 * @param prefix tokens at the front that are not turned
 * @param size of a head
 * @param like of whose dtype and device the tables are to be
 */
export function ropeTables(
  rope: RopeShape,
  [rows, columns]: readonly [number, number],
  { prefix, size, like }: { prefix: number; size: number; like: Tensor },
): RopeTables {
  const tokens = prefix + rows * columns;
  const sin = new Float64Array(tokens * size);
  const cos = new Float64Array(tokens * size).fill(1, 0, prefix * size);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const angles = anglesAt(rope, row, column, rows, columns, size);
      const start = (prefix + row * columns + column) * size;
      for (const [i, angle] of angles.entries()) {
        sin[start + i] = Math.sin(angle);
        cos[start + i] = Math.cos(angle);
      }
    }
  }
  const { dtype, device } = like;
  const table = (values: Float64Array) => tensor(values, { shape: [tokens, size], dtype, device });
  return { sin: table(sin), cos: table(cos) };
}

function anglesAt(
  rope: RopeShape,
  row: number,
  column: number,
  rows: number,
  columns: number,
  size: number,
): number[] {
  const quarter = Array.from({ length: size / 4 }, (_, k) => k);
  if (rope.kind === 'halves') {
    const { temperature } = rope;
    const at = (place: number, of: number) =>
      quarter.map(
        (k) => (2 * Math.PI * ((2 * (place + 0.5)) / of - 1)) / temperature ** (k / quarter.length),
      );
    const half = [...at(row, rows), ...at(column, columns)];
    return [...half, ...half];
  }
  const { grid, offset, columnsFirst } = rope;
  const at = (place: number, of: number) =>
    quarter.flatMap((k) => {
      const angle = (((place + offset) * grid) / of) * 10000 ** (-k / quarter.length);
      return [angle, angle];
    });
  const [down, across] = [at(row, rows), at(column, columns)];
  return columnsFirst ? [...across, ...down] : [...down, ...across];
}

/** Queries or keys (B, heads, N, size), turned by their tokens' angles. */
export function turned(x: Tensor, { kind }: RopeShape, { sin, cos }: RopeTables): Tensor {
  return scope(() => {
    const size = x.shape.at(-1) as number;
    const other =
      kind === 'halves'
        ? cat([x.narrow(-1, size / 2, size / 2).neg(), x.narrow(-1, 0, size / 2)], -1)
        : neighbours(x);
    return x.mul(cos).add_(other.mul(sin));
  });
}

/** a, b, c, d, ... → -b, a, -d, c, ... */
function neighbours(x: Tensor): Tensor {
  const pairs = x.reshape([...x.shape.slice(0, -1), -1, 2]);
  const [first, second] = [pairs.select(-1, 0), pairs.select(-1, 1)];
  return aten.stack([second.neg(), first], -1).flatten(-2);
}
