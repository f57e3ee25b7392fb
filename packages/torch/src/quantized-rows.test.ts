import { describe, expect, it } from 'vitest';
import { randn, zeros } from './creation.js';
import { QuantizedRows, quantizedBits } from './quantized-rows.js';
import { Generator } from './random.js';

describe.runIf(quantizedBits() !== 0)('quantized rows', () => {
  it('know by how much they are wrong, for rows of any size and numbers of any count', () => {
    for (const bits of quantizedBits() === 8 ? ([8, 16] as const) : ([16] as const)) {
      for (const dimensions of [1, 3, 130, 513]) {
        const generator = new Generator(dimensions);
        const x = randn([37, dimensions], { generator }).mul(randn([37, 1], { generator }).mul(6).exp());
        x.narrow(0, 4, 1).zero_();
        const squares = x.square().sum(1);
        using rows = new QuantizedRows(37, dimensions, bits);
        // In two parts.
        rows.fill(x.narrow(0, 0, 20), squares.narrow(0, 0, 20), 0, 0);
        rows.fill(x.narrow(0, 20, 17).contiguous(), squares.narrow(0, 20, 17), 0, 20);
        const numbers = x.toNumbers();
        const packed = rows.packed.toNumbers();
        const [scales, , norms, errors, sums] = Array.from({ length: 5 }, (_, fact) =>
          rows.facts.select(0, fact).toNumbers(),
        );
        const inWord = 32 / bits;
        const words = Math.ceil(dimensions / inWord);
        for (let row = 0; row < 37; row++) {
          let [square, sum, length] = [0, 0, 0];
          for (let d = 0; d < dimensions; d++) {
            const word = Math.floor(row / 16) * 16 * words + Math.floor(d / inWord) * 16 + (row % 16);
            const whole = packed[word * inWord + (d % inWord)]!;
            square += (numbers[row * dimensions + d]! - scales![row]! * whole) ** 2;
            length += numbers[row * dimensions + d]! ** 2;
            sum += whole;
          }
          expect(Math.sqrt(square)).toBeLessThanOrEqual(errors![row]!);
          expect(errors![row]!).toBeLessThanOrEqual(1.001 * Math.sqrt(square) + 2 ** -59);
          expect(Math.sqrt(length)).toBeLessThanOrEqual(norms![row]! * (1 + 1e-6));
          expect(sums![row]!).toBe(sum);
        }
      }
    }
  });

  it('are refused where they have too many numbers or do not fit', () => {
    expect(() => new QuantizedRows(3, 70_000, 16)).toThrow(RangeError);
    using rows = new QuantizedRows(3, 4, 16);
    expect(() => rows.fill(zeros([4, 4]), zeros([4]), 0, 0)).toThrow(/beyond their places/);
    expect(() => rows.fill(zeros([2, 4]), zeros([3]), 0, 0)).toThrow(/as many squares/);
    expect(() => rows.fill(zeros([2, 5]), zeros([2]), 0, 0)).toThrow(/do not fit/);
  });
});
