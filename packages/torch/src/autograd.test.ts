import { expect, it } from 'vitest';
import { autocast, ones, scope } from './index.js';

it('autocast computes in its dtype, and afterwards as before, also within another', () => {
  const product = () => scope(() => ones([2, 2]).matmul(ones([2, 2])).dtype);
  expect(product()).toBe('float32');
  autocast('cpu', 'bfloat16', () => {
    expect(product()).toBe('bfloat16');
    autocast('cpu', 'bfloat16', () => expect(product()).toBe('bfloat16'));
    expect(product()).toBe('bfloat16');
    expect(() =>
      autocast('cpu', 'bfloat16', () => {
        throw new RangeError('mine');
      }),
    ).toThrow('mine');
    expect(product()).toBe('bfloat16');
  });
  expect(product()).toBe('float32');
  expect(() => autocast('cpu', 'bfloat16', async () => {})).toThrow(TypeError);
  expect(product()).toBe('float32');
});
