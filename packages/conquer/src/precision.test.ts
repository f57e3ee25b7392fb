import { readFileSync } from 'node:fs';
import { Generator, liveTensors, randn } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { type AskedPrecision, choosePrecision, inPrecision } from './precision.js';

const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
const isFast = / (amx_bf16|avx512_bf16)\b/.test(flags);

function chosen(asked: AskedPrecision): { precision: string; notes: string[]; warnings: string[] } {
  const [notes, warnings]: string[][] = [[], []];
  const precision = choosePrecision(asked, 'cpu', {
    onNote: (text) => void notes!.push(text),
    onWarning: (text) => void warnings!.push(text),
  });
  return { precision, notes: notes!, warnings: warnings! };
}

it('auto is what the CPU has instructions for, and says why', () => {
  expect(chosen('auto')).toEqual({
    precision: isFast ? 'bfloat16' : 'float32',
    notes: [
      isFast
        ? expect.stringMatching(
            /^precision auto: bfloat16, as this CPU has instructions for it \((amx|avx512)_bf16\)$/,
          )
        : 'precision auto: float32, as this CPU has no instructions for bfloat16 (amx_bf16, avx512_bf16)',
    ],
    warnings: [],
  });
});

it('bfloat16 is what it is, with a warning where it is slow; float32 says nothing', () => {
  expect(chosen('bfloat16')).toEqual({
    precision: 'bfloat16',
    notes: [],
    warnings: isFast ? [] : [expect.stringMatching(/^precision bfloat16: this CPU has no .* some 6 times /)],
  });
  expect(chosen('float32')).toEqual({ precision: 'float32', notes: [], warnings: [] });
  expect(() => chosen('half' as AskedPrecision)).toThrow(/expected the precision .*auto, got 'half'$/);
});

it('what a network gives in bfloat16 is float32, and of float64 stays that', () => {
  const dtypes: string[] = [];
  using x = randn([3, 4], { generator: new Generator(1) });
  const before = liveTensors();
  using rows = inPrecision('bfloat16', x, (images) => {
    const product = images.matmul(images.transpose(0, 1));
    dtypes.push(product.dtype);
    return product;
  });
  expect(liveTensors()).toBe(before + 1);
  using wide = x.to('float64');
  using same = inPrecision('bfloat16', wide, (images) => images.matmul(images.transpose(0, 1)));
  expect([...dtypes, rows.dtype, same.dtype]).toEqual(['bfloat16', 'float32', 'float64']);
});
