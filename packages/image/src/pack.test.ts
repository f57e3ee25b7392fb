import { readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  decodeImages,
  ImageError,
  type ImagePack,
  type PackOptions,
  packImages,
  renderSvg,
} from './index.js';

let folder: string;
let paths: string[];
let file: string;
const size = 12;

beforeAll(() => {
  folder = temporaryFolder();
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

function square(color: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="7" height="9" fill="${color}"/></svg>`;
}

/** Packs and counts how many images were decoded for it. */
async function pack(images = paths, options: Partial<PackOptions> = {}): Promise<number> {
  let decoded = 0;
  const onProgress = ({ done }: { done: number }) => {
    decoded = done;
  };
  (await packImages(images, { size, square: true, file, onProgress, ...options })).dispose();
  return decoded;
}

/** Every image of a pack at the size it has there. */
async function readAll(images: ImagePack): Promise<Uint8Array[]> {
  const sizes = await images.sizes(Array.from({ length: images.count }, (_, index) => index));
  return await Promise.all(
    sizes.map(async (imageSize, index) => {
      const pixels = new Uint8Array(imageSize.width * imageSize.height * 3);
      await images.read([{ index, size: imageSize }], pixels);
      return pixels;
    }),
  );
}

describe('packImages', () => {
  it('keeps squares as they are decoded, behind a header, each at its place', async () => {
    expect(await pack()).toBe(5);
    using images = await packImages(paths, { size, square: true, file });
    const requests = paths.map((image) => ({
      image,
      size: { width: size, height: size },
      fit: 'cover' as const,
    }));
    const expected = new Uint8Array(5 * size * size * 3);
    await decodeImages(requests, expected);
    expect(Buffer.concat(await readAll(images)).equals(expected)).toBe(true);
    expect(
      readFileSync(file)
        .subarray(4096, 4096 + expected.length)
        .equals(expected),
    ).toBe(true);
    expect(Array.from(expected.subarray(0, 3))).toEqual([255, 0, 0]);
    expect(readdirSync(join(file, '..'))).toEqual(['images.pack']);
  });

  it('keeps the ratio of photos, reduces the short side, and enlarges nothing', async () => {
    const photos = await Promise.all(
      [
        [90, 30],
        [31, 61],
        [10, 40],
        [1, 1],
      ].map(async ([width, height], index) => {
        const path = join(folder, `photo-${index}.png`);
        const picture = sharp({
          create: { width: width!, height: height!, channels: 3, background: '#a52' },
        });
        await picture.png().toFile(path);
        return path;
      }),
    );
    using images = await packImages(photos, { size: 15, file });
    expect(await images.sizes([0, 1, 2, 3])).toEqual([
      { width: 45, height: 15 },
      { width: 15, height: 30 },
      { width: 10, height: 40 },
      { width: 1, height: 1 },
    ]);
    const crop = new Uint8Array(8 * 6 * 3);
    await images.read([{ index: 1, size: { width: 8, height: 6 }, flip: true }], crop);
    expect([...crop.subarray(-3)]).toEqual([0xaa, 0x55, 0x22]);
  });

  it('is used again while the images stay as they were, and only then', async () => {
    await pack();
    const written = statSync(file).mtimeMs;
    expect(await pack()).toBe(0);
    expect(statSync(file).mtimeMs).toBe(written);

    const first = paths[0] ?? '';
    utimesSync(first, new Date(), new Date(Date.now() + 5000));
    expect(await pack()).toBe(5);
    writeFileSync(first, await renderSvg(square('#fff'), 30));
    expect(await pack()).toBe(5);
    expect(readFileSync(file)[4097]).toBe(255);
    expect(await pack(paths.slice(1))).toBe(4);
    const reversed = [...paths].reverse();
    expect(await pack(reversed)).toBe(5);
    for (const other of [{ size: 8 }, { size: 8, square: false }]) {
      expect(await pack(reversed, other)).toBe(5);
      expect(await pack(reversed, other)).toBe(0);
    }
  });

  it('replaces a pack that was cut short, is something else, or has a damaged header or table', async () => {
    await pack();
    const whole = readFileSync(file);
    const flipped = (at: number) => {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 1;
      return bytes;
    };
    const broken = [whole.subarray(0, -1), whole.subarray(0, 10), whole.subarray(0, 96), 'text', '']
      .concat([Buffer.concat([whole, whole.subarray(0, 12)])])
      .concat([0, 8, 13, 20, 100, whole.length - 1, whole.length - 40].map(flipped));
    for (const bytes of broken) {
      writeFileSync(file, bytes);
      expect(await pack()).toBe(5);
      expect(readFileSync(file).equals(whole)).toBe(true);
    }
  });

  it('names the image whose pixels are damaged, and what to do', async () => {
    await pack();
    const whole = readFileSync(file);
    const bytes = size * size * 3;
    const request = { index: 2, size: { width: 6, height: 6 } };
    for (let at = 0; at < bytes; at += 37) {
      const damaged = Buffer.from(whole);
      damaged[4096 + 2 * bytes + at]! ^= 1 << (at % 8);
      writeFileSync(file, damaged);
      using images = await packImages(paths, { size, square: true, file });
      const out = new Uint8Array(6 * 6 * 3);
      // Where it is not read: the whole image is checked the first time.
      const read = images.read([{ ...request, crop: { left: 3, top: 3, width: 2, height: 2 } }], out);
      await expect(read).rejects.toThrow(
        /2\.png: its pixels in .*images\.pack are damaged: delete that file, and it is made again$/,
      );
      await images.read([{ ...request, index: 1 }], out);
    }
    writeFileSync(file, whole);
    using images = await packImages(paths, { size, square: true, file });
    truncateSync(file, 4096 + bytes);
    await expect(images.read([request], new Uint8Array(6 * 6 * 3))).rejects.toThrow(/2\.png: its pixels/);
  });

  it('refuses what is not there, and everything after it was disposed', async () => {
    await pack();
    const images = await packImages(paths, { size, square: true, file });
    const request = { index: 0, size: { width: 4, height: 2 } };
    const out = new Uint8Array(24);
    await expect(images.read([{ ...request, index: 5 }], out)).rejects.toThrow(/no image 5, there are 5/);
    await expect(images.read([request], new Uint8Array(23))).rejects.toThrow(/buffer of 24 bytes.* got 23/);
    const crop = { left: 9, top: 0, width: 4, height: 1 };
    await expect(images.read([{ ...request, crop }], out)).rejects.toThrow(
      /0\.png: the crop 4×1 at \(9, 0\) lies outside of the image$/,
    );
    const pending = images.read([request], out);
    images.dispose();
    await pending;
    expect([...out.subarray(0, 3)]).toEqual([255, 0, 0]);
    await expect(images.read([request], out)).rejects.toThrow(/disposed/);
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
    await decodeImages([{ image: path, size: { width: 8, height: 8 } }], pixels);
    const rows = Array.from({ length: 8 }, (_, y) => pixels[(y * 8 + 4) * 3]);
    expect(rows).toEqual([255, 255, 0, 0, 0, 0, 255, 255]);
  });
});
