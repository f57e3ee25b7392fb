import { expect, test } from 'vitest';
import { asksFor, isOlder } from './elf.mjs';

test('versions are compared number by number', () => {
  expect(isOlder('2.9', '2.28')).toBe(true);
  expect(isOlder('2.28', '2.28')).toBe(false);
  expect(isOlder('3.4.30', '3.4.22')).toBe(false);
});

test("a program's libraries and the newest of the versions that it asks for are read", () => {
  const { needed, versions, runpath } = asksFor('/bin/true');
  expect(needed).toContain('libc.so.6');
  expect(versions.GLIBC).toMatch(/^2\.\d+/);
  expect(runpath).toEqual([]);
});
