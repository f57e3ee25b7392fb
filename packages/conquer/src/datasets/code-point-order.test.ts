import { expect, it } from 'vitest';
import { byCodePoint } from './code-point-order.js';

it('orders by code points, not by UTF-16 units', () => {
  const sorted = ['', 'A', 'a', 'aa', 'b', 'é', '\uFF01', '🙂', '🙂a'];
  expect(sorted.toReversed().sort(byCodePoint)).toEqual(sorted);
});
