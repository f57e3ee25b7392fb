import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type DecodeRequest,
  decodeImages,
  ImageError,
  ImageFiles,
  type ImageInput,
  type ImageRequest,
  imageSizes,
  ReducedImages,
} from './index.js';

interface Case extends ImageRequest {
  file: string;
}

let folder: string;
/** Every format, mode and orientation, whole, cropped, flipped, enlarged and reduced. */
let cases: Case[];

beforeAll(() => {
  folder = temporaryFolder();
  cases = ['pillow', 'jpeg'].flatMap((kind) => {
    const into = join(folder, kind);
    execFileSync('mkdir', [into]);
    execFileSync('/usr/bin/python3', [fileURLToPath(new URL(`./${kind}-cases.py`, import.meta.url)), into]);
    const read = JSON.parse(readFileSync(join(into, 'cases.json'), 'utf8')) as (Case & {
      request?: ImageRequest;
    })[];
    return read.map(({ file, request, ...rest }) => ({ ...rest, ...request, file: join(into, file) }));
  });
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="7"><circle r="5"/></svg>';
  writeFileSync(join(folder, 'drawn.svg'), svg);
  cases.push({ file: join(folder, 'drawn.svg'), size: { width: 20, height: 20 } });
}, 60_000);

async function pixelsOf(requests: readonly DecodeRequest[]): Promise<Uint8Array> {
  const out = new Uint8Array(requests.reduce((sum, { size }) => sum + size.width * size.height * 3, 0));
  await decodeImages(requests, out);
  return out;
}

async function failure(work: Promise<unknown>): Promise<Error> {
  return await work.then(
    () => expect.fail('it was read'),
    (error: Error) => error,
  );
}

describe('images in memory', () => {
  it('have the sizes and pixels of their files, of every format and crop', async () => {
    expect(cases.length).toBeGreaterThan(60);
    const files = cases.map((one) => ({ ...one, image: one.file as ImageInput }));
    // Alone, part of something larger, and in memory that is shared.
    const held = (bytes: Buffer, i: number) => {
      if (i % 3 === 0) return bytes;
      const memory =
        i % 3 === 1 ? new ArrayBuffer(bytes.length + 9) : new SharedArrayBuffer(bytes.length + 9);
      const part = new Uint8Array(memory, 5, bytes.length);
      part.set(bytes);
      return part;
    };
    const bytes = files.map((one, i) => ({ ...one, image: held(readFileSync(one.file), i) }));
    expect(await imageSizes(bytes.map(({ image }) => image))).toEqual(
      await imageSizes(cases.map(({ file }) => file)),
    );
    const wanted = await pixelsOf(files);
    expect(Buffer.compare(await pixelsOf(bytes), wanted)).toBe(0);
    const mixed = files.map((one, i) => (i % 2 === 0 ? one : bytes[i]!));
    expect(Buffer.compare(await pixelsOf(mixed), wanted)).toBe(0);
  });

  it('have them in sets of images, decoded and reduced', async () => {
    const paths = [...new Set(cases.map(({ file }) => file))];
    const memory = paths.map((path) => readFileSync(path));
    const requests = [...paths.keys()].reverse().map((index) => ({ index, size: { width: 7, height: 6 } }));
    const sets = [
      (images: ImageInput[]) => new ImageFiles(images),
      (images: ImageInput[]) => new ReducedImages(images, { size: 24 }),
      (images: ImageInput[]) => new ReducedImages(images, { size: 24, square: true }),
    ];
    for (const of of sets) {
      const [files, bytes] = [of(paths), of(memory)];
      expect(await bytes.sizes(paths.keys())).toEqual(await files.sizes(paths.keys()));
      const [a, b] = [1, 2].map(() => new Uint8Array(requests.length * 7 * 6 * 3)) as [
        Uint8Array,
        Uint8Array,
      ];
      await files.read(requests, a);
      await bytes.read(requests, b);
      expect(Buffer.compare(a, b)).toBe(0);
    }
  });

  it('have the size of a JPEG with a header longer than what is copied of it', async () => {
    const profile = Buffer.alloc(50_000, 7);
    const segment = Buffer.concat([Buffer.from([0xff, 0xe5, 0xc3, 0x52]), profile]);
    const plain = readFileSync(join(folder, 'jpeg', '33-420.jpg'));
    const long = Buffer.concat([plain.subarray(0, 2), segment, segment, segment, plain.subarray(2)]);
    expect(await imageSizes([long])).toEqual(await imageSizes([plain]));
    const size = { width: 12, height: 9 };
    expect(await pixelsOf([{ image: long, size }])).toEqual(await pixelsOf([{ image: plain, size }]));
  });

  it('are named by their places where they cannot be read', async () => {
    const good = readFileSync(join(folder, 'pillow', 'photo.png'));
    const photo = readFileSync(join(folder, 'pillow', 'photo.jpg'));
    const bitmap = readFileSync(join(folder, 'pillow', 'RGB.bmp'));
    const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic')]);
    const bad: [Uint8Array, RegExp][] = [
      [new Uint8Array(0), /there are no bytes/],
      [Buffer.from('not an image'), /unsupported image format/],
      [photo.subarray(0, photo.length / 2), /premature end/i],
      [bitmap.subarray(0, 3000), /: it is cut short$/],
      [heic, /: it is HEIC, which is not read: convert it/],
    ];
    const size = { width: 8, height: 8 };
    for (const [image, reason] of bad) {
      const images = [join(folder, 'pillow', 'photo.png'), good, image, good];
      const requests = images.map((one) => ({ image: one, size }));
      const error = await failure(decodeImages(requests, new Uint8Array(4 * 192)));
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message).toMatch(/^cannot read the image 3 of those given \(bytes\): [^\n]+$/);
      expect(error.message).toMatch(reason);
      // Whatever is asked for of them, and in whatever order.
      for (const set of [new ImageFiles(images), new ReducedImages(images, { size: 8 })]) {
        const told: string[] = [];
        const onBad = ({ path }: ImageError, place: number) => told.push(`${place}: ${path}`);
        const wanted = [2, 1].map((index) => ({ index, size }));
        await set.read(wanted, new Uint8Array(2 * 192), { onBad });
        expect(told).toEqual(['0: 3 of those given (bytes)']);
      }
    }
    const crop = { left: 190, top: 0, width: 30, height: 10 };
    await expect(pixelsOf([{ image: good, size, crop }])).rejects.toThrow(
      /the image 1 of those given \(bytes\): the crop 30×10 at \(190, 0\) lies outside/,
    );
  });

  it('are refused where they are nothing that could be an image', async () => {
    const size = { width: 8, height: 8 };
    for (const [image, got] of [
      [7, '7'],
      [null, 'null'],
      [undefined, 'undefined'],
      [new Uint8ClampedArray(2), 'an object of 0, 1'],
      [{ width: 3, data: new Uint8Array(9) }, 'an object of width, data'],
    ] as const) {
      const requests = [
        { image: 'a.png', size },
        { image: image as unknown as ImageInput, size },
      ];
      const error = await failure(decodeImages(requests, new Uint8Array(384)));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain(`image 2 of those given: expected a path, a Uint8Array`);
      expect(error.message).toMatch(new RegExp(`got ${got}$`));
    }
  });

  it('may be transferred or overwritten under way: an image or an error, and no crash', async () => {
    const names = readdirSync(join(folder, 'pillow')).filter((name) =>
      /\.(jpg|png|webp|gif|tif|bmp)$/.test(name),
    );
    const outcomes = new Set<string>();
    for (let round = 0; round < 6; round++) {
      const images = names.map((name) => Uint8Array.from(readFileSync(join(folder, 'pillow', name))));
      const requests = images.map((image) => ({ image, size: { width: 64, height: 64 } }));
      const told: ImageError[] = [];
      const decoding = decodeImages(requests, new Uint8Array(images.length * 64 * 64 * 3), {
        onBad: (error) => told.push(error),
      });
      for (let wait = 0; wait < round; wait++) await new Promise((resolve) => setImmediate(resolve));
      for (const [i, { buffer }] of images.entries()) {
        if (i % 2 === 0) structuredClone(buffer, { transfer: [buffer] });
        else new Uint8Array(buffer).fill(255);
      }
      Reflect.get(globalThis, 'gc')?.();
      await decoding;
      for (const { reason } of told) outcomes.add(reason);
      expect(told.length).toBeLessThan(images.length);
    }
    expect([...outcomes].some((reason) => /their memory was transferred/.test(reason))).toBe(true);
  });
});

describe('pixels', () => {
  const data = Uint8Array.from({ length: 31 * 22 * 3 }, (_, i) => (i * 7919) % 251);
  const raw = { width: 31, height: 22, data };

  it('are the image of a PNG that holds them', async () => {
    const png = await sharp(data, { raw: { width: 31, height: 22, channels: 3 } })
      .png()
      .toBuffer();
    const wanted: ImageRequest[] = [
      { size: { width: 31, height: 22 } },
      { size: { width: 12, height: 12 }, flip: true },
      { size: { width: 9, height: 14 }, crop: { left: 3, top: 2, width: 20, height: 15 } },
      { size: { width: 40, height: 40 }, fit: 'cover' },
    ];
    const of = (image: ImageInput) => pixelsOf(wanted.map((one) => ({ ...one, image })));
    expect(await of(raw)).toEqual(await of(png));
    expect((await of(raw)).subarray(0, data.length)).toEqual(data);
    expect(await imageSizes([raw])).toEqual([{ width: 31, height: 22 }]);
  });

  it('have to fit their size', async () => {
    for (const [image, reason] of [
      [{ ...raw, width: 30 }, /expected 22×30×3 = 1980 bytes of RGB, got 2046$/],
      [{ ...raw, height: 0 }, /expected a width and a height of whole pixels, got 31×0$/],
      [{ ...raw, width: 1.5 }, /whole pixels, got 1\.5×22$/],
      [{ ...raw, width: 2 ** 30 }, /more than 134217728 pixels/],
    ] as const) {
      for (const work of [imageSizes([raw, image]), pixelsOf([{ image, size: { width: 2, height: 2 } }])]) {
        const error = await failure(work);
        expect(error).toBeInstanceOf(ImageError);
        expect(error.message).toMatch(/^cannot read the image \d of those given \(pixels\): /);
        expect(error.message).toMatch(reason);
      }
    }
  });
});
