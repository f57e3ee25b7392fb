import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeWithPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { BitmapError, bitmapSize, decodeBitmap } from './bitmap.js';

describeWithPython('bitmaps that Pillow wrote', ['PIL', 'numpy'], () => {
  it('ends damaged files in an error of its own, or in pixels of the size that they say', () => {
    const folder = temporaryFolder();
    const script = fileURLToPath(new URL('./pillow-cases.py', import.meta.url));
    execFileSync('/usr/bin/python3', [script, folder]);
    const files = readdirSync(folder).filter((name) => name.endsWith('.bmp'));
    expect(files.length).toBeGreaterThan(15);
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (const name of files) {
      const whole = readFileSync(join(folder, name));
      for (let round = 0; round < 200; round++) {
        const bytes = Buffer.from(whole.subarray(0, round % 4 === 0 ? random(whole.length) : whole.length));
        // Most of what can go wrong stands in the header.
        for (let change = random(4); change >= 0 && bytes.length > 2; change--)
          bytes[2 + random(Math.min(bytes.length - 2, random(2) === 0 ? 64 : bytes.length))] = random(256);
        try {
          const size = bitmapSize(bytes);
          const bitmap = decodeBitmap(bytes, 2 ** 16);
          expect(bitmap?.pixels.length).toBe(size ? size.width * size.height * 3 : undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(BitmapError);
          expect((error as Error).message).not.toContain('\n');
        }
      }
    }
  }, 30_000);
});

// Pillow 9.4 reads two bytes too many where a run says to go on elsewhere.
it('goes on elsewhere where run lengths say so', () => {
  const data = [2, 1, 0, 2, 1, 1, 1, 2, 0, 1];
  const bytes = Buffer.alloc(14 + 40 + 12 + data.length);
  bytes.write('BM');
  bytes.writeUInt32LE(66, 10);
  for (const [at, value] of [
    [14, 40],
    [18, 4],
    [22, 2],
    [30, 1],
    [46, 3],
  ] as const)
    bytes.writeUInt32LE(value, at);
  bytes.writeUInt16LE(8, 28);
  bytes.set([0, 0, 0, 0, 10, 10, 10, 0, 20, 20, 20, 0, ...data], 54);
  const { pixels } = decodeBitmap(bytes, 100) ?? {};
  expect(Array.from({ length: 8 }, (_, i) => pixels?.[i * 3])).toEqual([0, 0, 0, 20, 10, 10, 0, 0]);
  expect(decodeBitmap(Buffer.from('BM, a text about pictures'), 100)).toBeNull();
});
