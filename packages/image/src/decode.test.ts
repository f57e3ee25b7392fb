import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeWithPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { type DecodeRequest, decodeImages, ImageError, imageSize } from './index.js';

interface Case {
  name: string;
  file: string;
  request: Omit<DecodeRequest, 'image'>;
  width: number;
  height: number;
}

let folder: string;
let cases: Case[];
const inFolder = (file: string) => join(folder, file);

async function decode(request: DecodeRequest): Promise<Uint8Array> {
  const out = new Uint8Array(request.size.width * request.size.height * 3);
  await decodeImages([request], out);
  return out;
}

function difference(actual: Uint8Array, expected: Uint8Array): { largest: number; mean: number } {
  expect(actual).toHaveLength(expected.length);
  let largest = 0;
  let sum = 0;
  for (const [index, value] of actual.entries()) {
    const error = Math.abs(value - (expected[index] ?? 0));
    largest = Math.max(largest, error);
    sum += error;
  }
  return { largest, mean: sum / actual.length };
}

/**
 * Largest and mean difference allowed to Pillow, in steps of 255. Unresized pixels are equal, resized ones differ
 * by rounding (libvips works in fixed point, and takes transparency in and out of the colour around it). More room:
 * enlarging is bilinear in both but about a quarter of a source pixel apart; `cover` cuts at whole pixels of the
 * resized image; a JPEG shrunk while it is loaded is reduced by halves in the frequency domain first; and CMYK goes
 * through a colour profile here but through 255 - ink - black in Pillow, so that only the picture is the same.
 */
function allowed(name: string): { largest: number; mean: number } {
  if (name === 'jpeg-cmyk') return { largest: 80, mean: 20 };
  if (name === 'png-cover') return { largest: 32, mean: 5 };
  if (name === 'png-enlarged') return { largest: 26, mean: 2.5 };
  if (name === 'jpeg-shrunk-on-load') return { largest: 18, mean: 3 };
  if (name === 'webp') return { largest: 7, mean: 0.7 };
  return { largest: 4, mean: 0.7 };
}

describeWithPython('pictures of Pillow', ['PIL', 'numpy'], () => {
  beforeAll(() => {
    folder = temporaryFolder();
    const script = fileURLToPath(new URL('./pillow-cases.py', import.meta.url));
    execFileSync('/usr/bin/python3', [script, folder]);
    cases = JSON.parse(readFileSync(inFolder('cases.json'), 'utf8')) as Case[];
  }, 60_000);

  describe('decodeImages', () => {
    it('agrees with Pillow for every format, mode, orientation, crop and resize', async () => {
      expect(cases.length).toBeGreaterThan(30);
      for (const { name, file, request } of cases) {
        const { largest, mean } = difference(
          await decode({ ...request, image: inFolder(file) }),
          readFileSync(inFolder(`${name}.expected`)),
        );
        const limit = allowed(name);
        expect.soft(largest, `${name}: largest difference`).toBeLessThanOrEqual(limit.largest);
        expect.soft(mean, `${name}: mean difference`).toBeLessThanOrEqual(limit.mean);
      }
    });

    it('fills each request into its own place, whatever the concurrency', async () => {
      const requests = ['photo.png', 'grey.png', 'photo.jpg', 'alpha.png', 'palette.png'].map((file) => ({
        image: inFolder(file),
        size: { width: 16, height: 12 },
      }));
      const single = await Promise.all(requests.map(decode));
      for (const concurrency of [1, 3, 100]) {
        const out = new Uint8Array(requests.length * 16 * 12 * 3);
        await decodeImages(requests, out, { concurrency });
        expect(out).toEqual(Uint8Array.from(single.flatMap((pixels) => [...pixels])));
      }
    });

    it('draws SVG over white and renders it at the wanted size', async () => {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="10" fill="#f00"/></svg>`;
      writeFileSync(inFolder('half.svg'), svg);
      const pixels = await decode({ image: inFolder('half.svg'), size: { width: 40, height: 40 } });
      const column = (x: number) => Array.from(pixels.subarray((20 * 40 + x) * 3, (20 * 40 + x) * 3 + 3));
      // Rendered at 40 pixels the edge is sharp; enlarged from 10 it would be blurred over four columns.
      expect([column(0), column(18), column(21), column(39)]).toEqual([
        [255, 0, 0],
        [255, 0, 0],
        [255, 255, 255],
        [255, 255, 255],
      ]);
    });

    it('names the broken file and the reason in one line', async () => {
      const photo = readFileSync(inFolder('photo.jpg'));
      writeFileSync(inFolder('truncated.jpg'), photo.subarray(0, photo.length / 2));
      writeFileSync(inFolder('empty.png'), '');
      writeFileSync(inFolder('text.jpg'), 'not an image');
      writeFileSync(inFolder('bad.svg'), '<svg xmlns="http://www.w3.org/2000/svg"><rect');
      writeFileSync(inFolder('cut.png'), readFileSync(inFolder('photo.png')).subarray(0, 20_000));
      mkdirSync(inFolder('folder.png'));
      const bitmap = readFileSync(inFolder('RGB.bmp'));
      writeFileSync(inFolder('cut.bmp'), bitmap.subarray(0, 3000));
      writeFileSync(inFolder('header.bmp'), bitmap.subarray(0, 30));
      const huge = Buffer.from(bitmap);
      huge.writeInt32LE(2 ** 30, 18);
      writeFileSync(inFolder('huge.bmp'), huge);
      writeFileSync(inFolder('BM.bmp'), 'BM is not enough to be a picture of this kind');
      const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic')]);
      writeFileSync(inFolder('photo-of-a-telephone.jpg'), heic);
      const reasons: [string, RegExp][] = [
        ['truncated.jpg', /premature end/i],
        ['empty.png', /: the file is empty$/],
        ['text.jpg', /unsupported image format/],
        ['bad.svg', /XML|SVG|unsupported|corrupt/i],
        ['cut.png', /png|end of/i],
        ['cut.bmp', /: it is cut short$/],
        ['header.bmp', /: it is cut short$/],
        ['huge.bmp', /more than 134217728 pixels, which is the limit$/],
        ['BM.bmp', /unsupported image format/],
        [
          'photo-of-a-telephone.jpg',
          /: it is HEIC, which is not read: convert it, for example with heif-convert$/,
        ],
        ['folder.png', /: it is a folder$/],
        ['missing.png', /: no such file$/],
      ];
      for (const [file, reason] of reasons) {
        const error = await decode({ image: inFolder(file), size: { width: 8, height: 8 } }).then(
          () => undefined,
          (problem: unknown) => problem,
        );
        expect(error, file).toBeInstanceOf(ImageError);
        const { message, path } = error as ImageError;
        expect(path).toBe(inFolder(file));
        expect(message).toContain(inFolder(file));
        expect(message).toMatch(reason);
        expect(message).not.toContain('\n');
      }
      const outside = { image: inFolder('photo.png'), crop: { left: 150, top: 0, width: 51, height: 10 } };
      await expect(decode({ ...outside, size: { width: 8, height: 8 } })).rejects.toThrow(
        /photo\.png: the crop 51×10 at \(150, 0\) lies outside of the image$/,
      );
    });

    it('starts nothing after a failure or an abort, and writes nothing afterwards', async () => {
      const good = { image: inFolder('photo.png'), size: { width: 200, height: 150 } };
      const requests = [
        { ...good, image: inFolder('missing.png') },
        ...new Array<DecodeRequest>(40).fill(good),
      ];
      const out = new Uint8Array(requests.length * 200 * 150 * 3);
      await expect(decodeImages(requests, out, { concurrency: 4 })).rejects.toThrow(ImageError);
      const bytes = 200 * 150 * 3;
      const written = () => requests.filter((_, index) => out[index * bytes] !== 0).length;
      const atFailure = written();
      expect(atFailure).toBeLessThan(20);
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(written()).toBe(atFailure);

      const abort = new AbortController();
      const decoding = decodeImages(requests.slice(1), out.subarray(bytes), {
        concurrency: 2,
        signal: abort.signal,
      });
      abort.abort();
      await expect(decoding).rejects.toThrow(/abort/i);
    });

    it('takes requests of several sizes, and refuses a buffer of another size', async () => {
      const request = { image: inFolder('photo.png'), size: { width: 4, height: 2 } };
      const other = { image: inFolder('photo.jpg'), size: { width: 3, height: 5 } };
      await expect(decodeImages([request], new Uint8Array(25))).rejects.toThrow(
        /24 bytes for 1 images.* got 25/,
      );
      const out = new Uint8Array(24 + 45);
      await decodeImages([request, other], out);
      expect(out).toEqual(Uint8Array.from([...(await decode(request)), ...(await decode(other))]));
      await decodeImages([], new Uint8Array(0));
    });
  });

  describe('imageSize', () => {
    it('gives the oriented size of every kind of file', async () => {
      for (const { name, file, width, height } of cases) {
        expect(await imageSize(inFolder(file)), name).toEqual({ width, height });
      }
    });

    it('names the file it cannot read', async () => {
      await expect(imageSize(inFolder('nowhere.jpg'))).rejects.toThrow(/nowhere\.jpg: no such file/);
    });
  });
});
