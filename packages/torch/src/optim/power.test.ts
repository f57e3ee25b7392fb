import { expect, it } from 'vitest';
import { integerPower } from './power.js';

/** base ** exponent of a base that is a double, exactly, rounded to the nearest double. */
function exactPower(base: number, exponent: number): number {
  // base = mantissa · 2^-shift with a whole mantissa.
  let shift = 0;
  let mantissa = base;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    shift++;
  }
  const numerator = BigInt(mantissa) ** BigInt(exponent);
  const bits = numerator.toString(2).length;
  const drop = BigInt(Math.max(bits - 53, 0));
  const half = drop === 0n ? 0n : 1n << (drop - 1n);
  const rest = numerator & ((1n << drop) - 1n);
  let head = numerator >> drop;
  if (drop > 0n && (rest > half || (rest === half && (head & 1n) === 1n))) head += 1n;
  const exponent2 = Number(drop) - shift * exponent;
  return Number(head) * 2 ** exponent2;
}

it('integerPower is correctly rounded where ** is not', () => {
  let wrong = 0;
  for (const base of [0.9, 0.99, 0.999, 0.95, 0.5, 0]) {
    for (const exponent of [0, 1, 2, 3, 7, 10, 20, 50, 99, 333, 700]) {
      const exact = exactPower(base, exponent);
      expect(integerPower(base, exponent), `${base} ** ${exponent}`).toBe(exact);
      if (base ** exponent !== exact) wrong++;
    }
  }
  expect(wrong, 'otherwise ** would do').toBeGreaterThan(0);
});
