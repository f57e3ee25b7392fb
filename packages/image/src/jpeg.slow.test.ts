import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { findBinding } from '@conquer-dml/native/find-binding';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { native, outcome, packageFolder } from './binding.js';
import {
  type Crop,
  type DecodeRequest,
  decodeImages,
  ImageError,
  type ImageSize,
  imageSize,
  imageSizes,
  packImages,
  pixelLimit,
} from './index.js';
import { encodeRequests, type ImageRequest, requestBytes } from './request.js';

interface Case {
  file: string;
  crop: Crop;
  size: ImageSize;
  flip: boolean;
}

let folder: string;
let cases: (Case & { expected: Uint8Array })[];
const inFolder = (file: string) => join(folder, file);
const addon = findBinding('image', packageFolder);

beforeAll(() => {
  folder = temporaryFolder();
  execFileSync('/usr/bin/python3', [fileURLToPath(new URL('./jpeg-cases.py', import.meta.url)), folder]);
  const read = JSON.parse(readFileSync(inFolder('cases.json'), 'utf8')) as Case[];
  cases = read.map((one, index) => ({ ...one, expected: readFileSync(inFolder(`${index}.expected`)) }));
}, 60_000);

async function decode(request: DecodeRequest): Promise<Uint8Array> {
  const out = new Uint8Array(requestBytes(request));
  await decodeImages([request], out);
  return out;
}

/** By the addon alone, whose outcomes it gives. */
async function decodeByAddon(requests: DecodeRequest[], threads = 2, limit = pixelLimit) {
  const out = new Uint8Array(requests.reduce((sum, request) => sum + requestBytes(request), 0));
  const outcomes = new Uint8Array(requests.length);
  const paths = requests.map(({ image }) => image as string);
  await native.decodeFiles(paths, encodeRequests(requests), out, outcomes, limit, threads, 0);
  return { out, outcomes: [...outcomes] };
}

function meanDifference(actual: Uint8Array, expected: Uint8Array): number {
  expect(actual.length).toBe(expected.length);
  let sum = 0;
  for (let at = 0; at < actual.length; at++) sum += Math.abs(actual[at]! - expected[at]!);
  return sum / actual.length;
}

/** Whether the decoder reduces by halves first: three times the wanted size is left after it. */
const isReduced = ({ crop, size }: Case) => crop.width >= 6 * size.width && crop.height >= 6 * size.height;

describe('JPEG', () => {
  it('is cropped and resized as Pillow does it, bit for bit, and within a level where it is reduced', async () => {
    const jpegs = cases.filter(({ file }) => file.endsWith('.jpg'));
    const requests = jpegs.map(({ file, crop, size, flip }) => ({ image: inFolder(file), crop, size, flip }));
    const { out, outcomes } = await decodeByAddon(requests);
    expect(new Set(outcomes)).toEqual(new Set([outcome.done]));
    let at = 0;
    let reduced = 0;
    for (const [index, one] of jpegs.entries()) {
      const pixels = out.subarray(at, at + one.expected.length);
      at += one.expected.length;
      const difference = meanDifference(pixels, one.expected);
      const name = `case ${index} of ${one.file}`;
      if (isReduced(one)) reduced++;
      expect.soft(difference, name).toBeLessThanOrEqual(isReduced(one) ? 1 : 0);
    }
    expect(jpegs.length - reduced).toBeGreaterThan(150);
    expect(reduced).toBeGreaterThan(5);
  });

  it('gives the same whatever the number of threads', async () => {
    const requests = cases
      .slice(0, 30)
      .map(({ file, ...request }) => ({ ...request, image: inFolder(file) }));
    const { out } = await decodeByAddon(requests, 1);
    for (const threads of [2, 7]) {
      const again = await decodeByAddon(requests, threads);
      expect(Buffer.compare(again.out, out)).toBe(0);
    }
  });

  it('in another colour space or with another profile goes through sharp', async () => {
    const file = inFolder('p3.jpg');
    const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: '#c43a20' } });
    await picture.withIccProfile('p3').jpeg().toFile(file);
    const request = { image: file, size: { width: 30, height: 20 } };
    expect((await decodeByAddon([request])).outcomes).toEqual([outcome.other]);
    const [red, green, blue] = await decode(request);
    expect(Math.abs(red! - 0xc4) + Math.abs(green! - 0x3a) + Math.abs(blue! - 0x20)).toBeLessThan(12);
  });

  it('that was cut short is named wherever the crop is', async () => {
    const whole = readFileSync(inFolder('500-420.jpg'));
    const crop = { left: 100, top: 0, width: 50, height: 10 };
    for (let length = 2; length < whole.length; length += 997) {
      writeFileSync(inFolder('short.jpg'), whole.subarray(0, length));
      const failure = await decode({
        image: inFolder('short.jpg'),
        crop,
        size: { width: 9, height: 9 },
      }).catch((error: Error) => error);
      expect(failure, `${length} bytes`).toBeInstanceOf(ImageError);
      expect((failure as Error).message).toMatch(/^cannot read the image [^\n]*short\.jpg: [^\n]+$/);
    }
  });

  it('with any damage is a picture or an error of one line', async () => {
    const seeds = ['33-420.jpg', '33-422-progressive.jpg', 'grey.jpg', 'srgb.jpg'].map((file) =>
      readFileSync(inFolder(file)),
    );
    let state = 7;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const requests: DecodeRequest[] = [];
    for (let index = 0; index < 400; index++) {
      const bytes = Buffer.from(seeds[index % seeds.length]!);
      // Half of the damage to the header, where sizes and tables are.
      for (let flip = 0; flip < 1 + next(4); flip++) {
        bytes[next(index % 2 ? bytes.length : 700)] = next(256);
      }
      const path = inFolder(`damaged-${index}.jpg`);
      writeFileSync(path, bytes);
      requests.push({
        image: path,
        size: { width: 8, height: 8 },
        crop: { left: 3, top: 2, width: 20, height: 9 },
      });
    }
    const { outcomes } = await decodeByAddon(requests);
    expect(outcomes.filter((one) => one === outcome.done).length).toBeGreaterThan(50);
    expect(outcomes.filter((one) => one === outcome.other).length).toBeGreaterThan(50);
    for (const request of requests.filter((_, index) => outcomes[index] === outcome.other).slice(0, 60)) {
      const failure = await decode(request).catch((error: Error) => error);
      if (failure instanceof Error) expect(failure.message).toMatch(/^cannot read the image [^\n]+: [^\n]+$/);
    }
  });

  it('is left when the signal says so', async () => {
    const one = { image: inFolder('1300-420.jpg'), size: { width: 1300, height: 1000 } };
    const requests = new Array<DecodeRequest>(20).fill(one);
    const out = new Uint8Array(20 * requestBytes(one));
    const abort = new AbortController();
    const decoding = decodeImages(requests, out, { threads: 1, signal: abort.signal });
    abort.abort();
    await expect(decoding).rejects.toThrow(/abort/i);
    expect(out.subarray(-3 * requestBytes(one)).every((value) => value === 0)).toBe(true);
  });
});

describe('images larger than the limit', () => {
  it('are refused by their header', async () => {
    const jpeg = readFileSync(inFolder('33-420.jpg'));
    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt16BE(20_000, frame + 5);
    jpeg.writeUInt16BE(20_000, frame + 7);
    writeFileSync(inFolder('bomb.jpg'), jpeg);
    const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    png.writeUInt32BE(20_000, 16);
    png.writeUInt32BE(20_000, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    writeFileSync(inFolder('bomb.png'), png);
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="20000" height="20000"/>';
    writeFileSync(inFolder('bomb.svg'), svg);
    for (const file of ['bomb.jpg', 'bomb.png', 'bomb.svg']) {
      const message = new RegExp(`${file}: it holds more than 134217728 pixels, which is the limit$`);
      await expect(imageSize(inFolder(file))).rejects.toThrow(message);
      await expect(decode({ image: inFolder(file), size: { width: 8, height: 8 } })).rejects.toThrow(message);
    }
    // As many as the limit are read.
    const request = { image: inFolder('33-420.jpg'), size: { width: 8, height: 8 } };
    expect((await decodeByAddon([request], 1, 33 * 17)).outcomes).toEqual([outcome.done]);
    expect((await decodeByAddon([request], 1, 33 * 17 - 1)).outcomes).toEqual([outcome.other]);
  });
});

describe('a pack', () => {
  it('is cropped and resized as Pillow does it, bit for bit', async () => {
    const file = inFolder('whole.pack');
    using images = await packImages([inFolder('whole.png')], { size: 1000, file });
    const some = cases.filter((one) => one.file === 'whole.png');
    expect(some.length).toBeGreaterThan(30);
    for (const { crop, size, flip, expected } of some) {
      const out = new Uint8Array(expected.length);
      await images.read([{ index: 0, crop, size, flip }], out);
      expect(meanDifference(out, expected)).toBe(0);
    }
  });
});

describe('the addon', () => {
  it('refuses arguments that do not fit, and jobs of nothing end', async () => {
    const job = 0;
    const sizes = (...given: unknown[]) =>
      Reflect.apply(native.imageSizes, undefined, given) as Promise<void>;
    expect(() => sizes()).toThrow(TypeError);
    expect(() => sizes(['a'], new Int32Array(1), 9, 1, job)).toThrow(/sizes: expected 2 elements, got 1/);
    expect(() => sizes(['a'], new Float32Array(2), 9, 1, job)).toThrow(/sizes: .*typed array/);
    expect(() => sizes([4], new Int32Array(2), 9, 1, job)).toThrow(/images: expected strings, \[path/);
    for (const part of [[], ['a', 0], ['a', -1, 4], ['a', 0, 0.5], [4, 0, 4], ['a', 2 ** 60, 4]])
      expect(() => sizes([part], new Int32Array(2), 9, 1, job)).toThrow(TypeError);
    expect(() => sizes('a', new Int32Array(2), 9, 1, job)).toThrow(/images: expected an array/);
    for (const threads of [0, Number.NaN, -1, 1e9, '2']) {
      expect(() => sizes(['a'], new Int32Array(2), 9, threads, job)).toThrow(/threads: expected/);
    }
    const large = { image: 'x', size: { width: 70_000, height: 1 } };
    await expect(decodeByAddon([large])).rejects.toThrow(/sizes from 1 to 65535/);
    const places = Float64Array.of(-1, 4, 4, 0, 0);
    const numbers = encodeRequests([{ size: { width: 1, height: 1 } }]);
    expect(() => native.readPixels(0, places, numbers, new Uint8Array(3), new Uint8Array(1), 1, job)).toThrow(
      /out of range/,
    );
    await native.imageSizes([], new Int32Array(0), 9, 1, job);
    expect(await imageSizes([])).toEqual([]);
    // A name that the system would cut at the zero.
    await expect(imageSize(`${inFolder('grey.jpg')}\0.png`)).rejects.toThrow();
  });

  const request = { size: { width: 64, height: 48 } };
  const bytes = 64 * 48 * 3;
  const fits = () => new ArrayBuffer(20 * bytes);
  const growable = () =>
    Reflect.construct(ArrayBuffer, [20 * bytes, { maxByteLength: 40 * bytes }]) as ArrayBuffer;
  const resize = (buffer: ArrayBuffer, to: number) =>
    Reflect.apply(Reflect.get(buffer, 'resize'), buffer, [to]);
  const changes: [string, () => ArrayBuffer, (buffer: ArrayBuffer) => void][] = [
    ['transferred', fits, (buffer) => void structuredClone(buffer, { transfer: [buffer] })],
    ['shrunk', growable, (buffer) => resize(buffer, 100)],
    ['emptied', growable, (buffer) => resize(buffer, 0)],
    ['resized', growable, (buffer) => resize(buffer, 30 * bytes)],
  ];
  it.each(changes)('rejects where an array was %s while it worked', async (_, make, change) => {
    const paths = new Array<string>(20).fill(inFolder('1300-420.jpg'));
    const numbers = encodeRequests(new Array<ImageRequest>(20).fill(request));
    const refused = /an array was transferred, resized or shrunk while images were read into it/;

    // Of pixels, of outcomes, of sizes; what is only read may go.
    const pixels = make();
    const decoding = native.decodeFiles(
      paths,
      numbers,
      new Uint8Array(pixels),
      new Uint8Array(20),
      1e9,
      2,
      0,
    );
    change(pixels);
    await expect(decoding).rejects.toThrow(refused);

    const outcomes = make();
    const out = new Uint8Array(20 * bytes);
    const again = native.decodeFiles(
      paths,
      numbers,
      out,
      new Uint8Array(outcomes, 0).subarray(0, 20),
      1e9,
      2,
      0,
    );
    change(outcomes);
    if (outcomes.byteLength < 20) await expect(again).rejects.toThrow(refused);
    else await again;

    const sizes = make();
    const measuring = native.imageSizes(paths, new Int32Array(sizes, 0, 40), 1e9, 2, 0);
    change(sizes);
    if (sizes.byteLength < 160) await expect(measuring).rejects.toThrow(refused);
    else await measuring;

    const side = 32;
    const images = make();
    const matrices = Float32Array.of(1, 0, 0, 0, 1, 0);
    const [from, to] = [new Uint8Array(images, 0, side * side * 3), new Uint8Array(side * side * 3)];
    from.fill(7);
    const warping = native.warpImages(from, side, matrices, -1, side, to, 2, 0);
    change(images);
    await warping;
    expect(to.every((value) => value === 7)).toBe(true);

    const source = make();
    const target = make();
    new Uint8Array(source).fill(9);
    const places = Float64Array.from({ length: 100 }, (__, i) => [0, 64, 48, 0, 0][i % 5]!);
    const reading = native.readPixels(new Uint8Array(source), places, numbers, out, new Uint8Array(20), 2, 0);
    change(source);
    await reading;
    expect(out.every((value) => value === 9)).toBe(true);
    const last = native.readPixels(out, places, numbers, new Uint8Array(target), new Uint8Array(20), 2, 0);
    change(target);
    await expect(last).rejects.toThrow(refused);
  });

  it('fills shared memory, which may grow', async () => {
    const shared = Reflect.construct(SharedArrayBuffer, [20 * bytes, { maxByteLength: 40 * bytes }]);
    const out = new Uint8Array(shared as SharedArrayBuffer, 0, 20 * bytes);
    const requests = new Array(20).fill({ image: inFolder('1300-420.jpg'), ...request });
    const decoding = decodeImages(requests, out);
    Reflect.apply(Reflect.get(shared, 'grow'), shared, [30 * bytes]);
    await decoding;
    const plain = new Uint8Array(20 * bytes);
    await decodeImages(requests, plain);
    expect(Buffer.compare(out, plain)).toBe(0);
  });

  it('cancels a job by its number, and no other', async () => {
    const start = (job: number, count: number) => {
      const paths = new Array<string>(count).fill(inFolder('1300-420.jpg'));
      const numbers = encodeRequests(new Array<ImageRequest>(count).fill(request));
      const outcomes = new Uint8Array(count);
      const done = native.decodeFiles(paths, numbers, new Uint8Array(count * bytes), outcomes, 1e9, 1, job);
      return done.then(() => outcomes.filter((one) => one === outcome.done).length);
    };
    // So many that the first is not over before it is cancelled, on however busy a machine.
    const [first, second] = [start(1001, 200), start(1002, 20)];
    native.cancel(1001);
    native.cancel(4242);
    expect(await first).toBeLessThan(200);
    expect(await second).toBe(20);
    native.cancel(1002);
  });

  it('lets the process and a worker end while it works', () => {
    const program = `
      const { Worker, isMainThread } = require('node:worker_threads');
      const native = require(${JSON.stringify(addon)});
      const count = 200;
      const paths = new Array(count).fill(${JSON.stringify(inFolder('1300-420.jpg'))});
      const requests = new Int32Array(count * 11);
      for (let i = 0; i < count; i++) requests.set([0, 0, 0, 0, 64, 64, 0, 0, 0, 0, 0], i * 11);
      const out = new Uint8Array(count * 64 * 64 * 3);
      native.decodeFiles(paths, requests, out, new Uint8Array(count), 1e9, 3, 0);
      if (isMainThread) {
        const worker = new Worker(process.argv[1] ?? __filename, { eval: false });
        worker.on('online', () => setTimeout(() => worker.terminate(), 30));
        worker.on('exit', () => { console.log('left'); process.exit(0); });
      } else setTimeout(() => {}, 1e6);`;
    const file = inFolder('leave.cjs');
    writeFileSync(file, program);
    const said = execFileSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 });
    expect(said).toBe('left\n');
    expect(createRequire(import.meta.url)(addon).decodeFiles).toBe(native.decodeFiles);
  });
});
