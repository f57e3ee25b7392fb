import { expect, it } from 'vitest';
import { decodeLines, decodeText } from './text-file.js';

it.each([
  ['é'.repeat(5), 'caf\xe9', 1],
  ['a\nb\n', '\xe9', 3],
  ['🙂\n', '\xf0\x9f\x99', 2],
  ['', '\xff', 1],
  ['x\ny', '\xe9\n'.repeat(3), 2],
])('names the line of the first byte that is not UTF-8, after %j', (good, bad, line) => {
  const bytes = Buffer.concat([Buffer.from(good), Buffer.from(bad, 'latin1')]);
  expect(() => decodeText(bytes, 'f')).toThrow(
    new RegExp(`^f, line ${line}: expected UTF-8, got the byte 0x`),
  );
  expect(decodeText(Buffer.from(`\uFEFF${good}`), 'f')).toBe(good);
});

it('refuses lines that end in CR alone, but not one at the end', () => {
  expect(() => decodeLines(Buffer.from('a\rb\r'), 'f')).toThrow(/^f: its lines end in CR alone/);
  expect(decodeLines(Buffer.from('a\r\nb\r\n'), 'f')).toBe('a\r\nb\r\n');
  expect(decodeLines(Buffer.from('a\r'), 'f')).toBe('a\r');
  expect(decodeText(Buffer.from('{\r}'), 'f')).toBe('{\r}');
});
