import { cat, type DType, Generator, randint, randn, type Tensor } from '@conquer-dml/torch';

/** Rows (N, D) between which distances are lost where they are taken as |a|² - 2ab + |b|² in float32. */
export interface HardRows {
  name: string;
  rows: (count: number, dimensions: number, seed: number) => Tensor;
}

const normal = (count: number, dimensions: number, seed: number) =>
  randn([count, dimensions], { generator: new Generator(seed) });
const unit = (rows: Tensor) => rows.div(rows.norm(2, 1, true));

/** Row i gets the first point where i is even, the second where it is odd. */
function twoHeaps(rows: Tensor, points: [Tensor, Tensor], spread: number): Tensor {
  const [count, dimensions] = [rows.size(0), rows.size(1)];
  const pairs = cat(points, 0)
    .repeat([Math.ceil(count / 2), 1])
    .narrow(0, 0, count)
    .reshape([count, dimensions]);
  return rows.mul(spread).add(pairs);
}

export const hardRows: readonly HardRows[] = [
  ...[1e-20, 1e-10, 1, 1e10, 1e18].map((scale) => ({
    name: `numbers of size ${scale}`,
    rows: (n: number, d: number, seed: number) => normal(n, d, seed).mul(scale),
  })),
  {
    name: 'one heap at 10,000 times its spread',
    rows: (n, d, seed) => normal(n, d, seed).add(1e4),
  },
  {
    name: 'one heap at 4,000,000, spread 1,000',
    rows: (n, d, seed) => normal(n, d, seed).mul(1e3).add(4e6),
  },
  {
    name: 'two heaps at ±10,000, spread 1',
    rows: (n, d, seed) => {
      const at = normal(1, d, seed + 1).mul(1e4);
      return twoHeaps(normal(n, d, seed), [at, at.mul(-1)], 1);
    },
  },
  {
    name: 'one feature of ±100,000 among features of size 1',
    rows: (n, d, seed) => {
      const rows = normal(n, d, seed);
      const large = rows.narrow(1, d - 1, 1);
      large.copy_(large.sign().mul(1e5).add(large));
      return rows;
    },
  },
  {
    name: 'rows of length 1 that differ by 1e-5',
    rows: (n, d, seed) => unit(unit(normal(1, d, seed + 1)).add(normal(n, d, seed).mul(1e-5))),
  },
  {
    name: 'rows of length 1, collapsed onto two opposite points',
    rows: (n, d, seed) => {
      const point = unit(normal(1, d, seed + 1));
      return unit(twoHeaps(normal(n, d, seed), [point, point.mul(-1)], 3e-5));
    },
  },
  {
    name: 'one row far out',
    rows: (n, d, seed) => {
      const rows = normal(n, d, seed).mul(1e-3);
      rows.narrow(0, n - 1, 1).fill_(1e6);
      return rows;
    },
  },
  {
    name: 'few different rows, many times each',
    rows: (n, d, seed) =>
      normal(7, d, seed)
        .repeat([Math.ceil(n / 7), 1])
        .narrow(0, 0, n)
        .clone(),
  },
  {
    name: 'a lattice: few different distances',
    rows: (n, d, seed) =>
      randint(0, 2, [n, d], { generator: new Generator(seed) }).to({ dtype: 'float32' as DType }),
  },
];
