import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeImages, ImageError, type PackOptions, packImages, renderSvg } from './index.js';

let folder: string;
let paths: string[];
let file: string;
const size = 12;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pack-'));
});

beforeEach(async () => {
  paths = [];
  for (const [index, color] of ['#f00', '#0f0', '#00f', '#345', '#aa1'].entries()) {
    const path = join(folder, `${index}.png`);
    writeFileSync(path, await renderSvg(square(color), 20));
    paths.push(path);
  }
  file = join(folder, 'cache', `${Math.random()}`, 'images.pack');
});

afterAll(() => rmSync(folder, { recursive: true }));

function square(color: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="7" height="9" fill="${color}"/></svg>`;
}

/** Packs and counts how many images were decoded for it. */
async function pack(images = paths, options: Partial<PackOptions> = {}) {
  let decoded = 0;
  const onProgress = ({ done }: { done: number }) => {
    decoded = done;
  };
  return { ...(await packImages(images, { size, file, onProgress, ...options })), decoded };
}

describe('packImages', () => {
  it('writes every image at its place behind an aligned header', async () => {
    const { offset, count, decoded } = await pack();
    expect([count, decoded, offset % 4096]).toEqual([5, 5, 0]);
    const pixels = readFileSync(file).subarray(offset);
    const expected = new Uint8Array(5 * size * size * 3);
    await decodeImages(
      paths.map((path) => ({ path, size: { width: size, height: size }, fit: 'cover' as const })),
      expected,
    );
    expect(new Uint8Array(pixels)).toEqual(expected);
    expect(Array.from(pixels.subarray(0, 3))).toEqual([255, 0, 0]);
    expect(readdirSync(join(file, '..'))).toEqual(['images.pack']);
  });

  it('is used again while the images stay as they were, and only then', async () => {
    await pack();
    const written = statSync(file).mtimeMs;
    expect((await pack()).decoded).toBe(0);
    expect(statSync(file).mtimeMs).toBe(written);

    const first = paths[0] ?? '';
    utimesSync(first, new Date(), new Date(Date.now() + 5000));
    expect((await pack()).decoded).toBe(5);
    writeFileSync(first, await renderSvg(square('#fff'), 30));
    const repacked = await pack();
    expect(repacked.decoded).toBe(5);
    expect(readFileSync(file)[repacked.offset + 1]).toBe(255);
    expect((await pack(paths.slice(1))).decoded).toBe(4);
    expect((await pack([...paths].reverse())).decoded).toBe(5);
    expect((await pack([...paths].reverse(), { size: 8 })).decoded).toBe(5);
    expect((await pack([...paths].reverse(), { size: 8 })).decoded).toBe(0);
  });

  it('replaces a pack that was cut short or is something else', async () => {
    const { offset } = await pack();
    const whole = readFileSync(file);
    for (const broken of [
      whole.subarray(0, -1),
      whole.subarray(0, 10),
      whole.subarray(0, offset - 4000),
      'text',
    ]) {
      writeFileSync(file, broken);
      expect((await pack()).decoded).toBe(5);
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
  });

  it('leaves the old pack and no temporary file behind when an image is broken', async () => {
    await pack();
    const whole = readFileSync(file);
    writeFileSync(paths[3] ?? '', 'broken');
    await expect(pack()).rejects.toThrow(ImageError);
    await expect(pack([...paths, join(folder, 'none.png')])).rejects.toThrow(/none\.png: no such file/);
    expect(readdirSync(join(file, '..'))).toEqual(['images.pack']);
    expect(readFileSync(file).equals(whole)).toBe(true);
  });
});

describe('renderSvg', () => {
  it('keeps the ratio, centred over white', async () => {
    const wide =
      '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10"/></svg>';
    const path = join(folder, 'wide.png');
    writeFileSync(path, await renderSvg(wide, 8));
    const pixels = new Uint8Array(8 * 8 * 3);
    await decodeImages([{ path, size: { width: 8, height: 8 } }], pixels);
    const rows = Array.from({ length: 8 }, (_, y) => pixels[(y * 8 + 4) * 3]);
    expect(rows).toEqual([255, 255, 0, 0, 0, 0, 255, 255]);
  });
});
