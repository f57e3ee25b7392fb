import { describe, expect, it } from 'vitest';
import { Random } from './random.js';

describe('Random', () => {
  it('gives the same stream for the same seed and another for another', () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (random) => () =>
            random.next()
        )(new Random(seed)),
      );
    expect(draw(7)).toEqual(draw(7));
    const firsts = new Set([-1, 0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 52].map((seed) => draw(seed)[0]));
    expect(firsts.size).toBe(7);
  });

  it('continues exactly from a saved state, through every kind of draw', () => {
    const random = new Random(3);
    random.normal();
    const state = JSON.parse(JSON.stringify(random.getState())) as number[];
    const draws = () => [
      random.next(),
      random.int(10),
      random.normal(),
      ...random.permutation(9),
      ...random.choice(50, 5),
      random.fork().next(),
    ];
    const first = draws();
    random.setState(state);
    expect(draws()).toEqual(first);
    expect(() => random.setState([1, 2])).toThrow(/four integers/);
  });

  it('is uniform over seeds as well as along one stream', () => {
    const alongStream = new Random(11);
    const n = 20_000;
    for (const draw of [(seed: number) => new Random(seed).next(), () => alongStream.next()]) {
      const counts = new Array<number>(20).fill(0);
      for (let i = 0; i < n; i++) {
        const bin = Math.floor(draw(i) * 20);
        counts[bin] = (counts[bin] ?? 0) + 1;
      }
      const chiSquared = counts.reduce((sum, count) => sum + (count - n / 20) ** 2 / (n / 20), 0);
      // 19 degrees of freedom: 43.8 is the 0.1 % tail.
      expect(chiSquared).toBeLessThan(43.8);
    }
  });

  it('draws normal numbers with mean 0, variance 1 and kurtosis 3', () => {
    const random = new Random(5);
    const draws = Array.from({ length: 50_000 }, () => random.normal());
    const moment = (p: number) => draws.reduce((sum, x) => sum + x ** p, 0) / draws.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.25);
  });

  it('chooses distinct integers, each equally often in each place', () => {
    const random = new Random(9);
    const counts = Array.from({ length: 3 }, () => new Array<number>(6).fill(0));
    for (let round = 0; round < 6000; round++) {
      const chosen = random.choice(6, 3);
      expect(new Set(chosen).size).toBe(3);
      chosen.forEach((value, place) => {
        const row = counts[place] ?? [];
        row[value] = (row[value] ?? 0) + 1;
      });
    }
    for (const count of counts.flat()) expect(Math.abs(count - 1000)).toBeLessThan(130);
    expect(Array.from(random.choice(4, 4)).sort()).toEqual([0, 1, 2, 3]);
    expect(random.choice(2, 40, { replace: true })).toHaveLength(40);
    expect(() => random.choice(2, 3)).toThrow(/3 distinct integers from 2/);
  });

  it('forks streams that do not repeat their parent', () => {
    const parent = new Random(1);
    const child = parent.fork();
    const childDraws = new Set(Array.from({ length: 100 }, () => child.next()));
    for (let i = 0; i < 100; i++) expect(childDraws.has(parent.next())).toBe(false);
  });

  it('refuses seeds and ranges that are not integers', () => {
    expect(() => new Random(0.5)).toThrow(RangeError);
    expect(() => new Random(1).int(0)).toThrow(RangeError);
    expect(() => new Random(Number.NaN)).toThrow(RangeError);
  });
});
