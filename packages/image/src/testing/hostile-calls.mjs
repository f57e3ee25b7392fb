// Calls the addon as no TypeScript would: arrays that do not fit, that are transferred, shrunk or grown while jobs read and
// fill them, wrong types, numbers out of range, from two workers, and ends while work is under way.
// `node hostile-calls.mjs ADDON FOLDER [CALLS]`; FOLDER holds *.jpg. Prints a line of JSON. Each call must end in a result or
// in an error that JavaScript can catch. Plain JavaScript, as it is run under AddressSanitizer too.
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** mulberry32: 0 … n - 1. */
function numbers(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

async function attack(path, folder, calls, seed) {
  const native = createRequire(import.meta.url)(path);
  const int = numbers(seed);
  const pick = (items) => items[int(items.length)];
  const files = readdirSync(folder).map((name) => join(folder, name));
  const images = files.filter((file) => file.endsWith('.jpg'));
  const descriptor = openSync(images[0], 'r');
  const contents = files.map((file) => readFileSync(file));
  const fileBytes = readFileSync(images[0]).length;
  const counts = { calls: 0, results: 0, errors: 0, rejections: 0, done: 0 };
  const pending = new Set();

  /** A typed array whose memory is fixed, resizable or shared. */
  const array = (Kind, length) => {
    const bytes = length * Kind.BYTES_PER_ELEMENT;
    switch (int(6)) {
      case 0:
        return new Kind(new ArrayBuffer(bytes, { maxByteLength: 2 * bytes + 8 }));
      case 1:
        return new Kind(new ArrayBuffer(bytes + 8, { maxByteLength: 2 * bytes + 8 }), 8, length);
      case 2:
        return new Kind(new SharedArrayBuffer(bytes, { maxByteLength: 2 * bytes + 8 }));
      default:
        return new Kind(length);
    }
  };
  /** Does to an array's memory what JavaScript may at any time. */
  const change = ({ buffer }) => {
    const size = 8 * int(buffer.byteLength / 8 + 2);
    if (buffer instanceof SharedArrayBuffer) {
      if (buffer.growable && size > buffer.byteLength) buffer.grow(Math.min(size, buffer.maxByteLength));
    } else if (buffer.resizable && int(3) > 0) buffer.resize(Math.min(size, buffer.maxByteLength));
    else if (buffer.byteLength > 0) structuredClone(buffer, { transfer: [buffer] });
  };
  const strange = () =>
    pick([
      undefined,
      null,
      true,
      '',
      'x\0y',
      Number.NaN,
      -1,
      0.5,
      2 ** 31,
      2 ** 53,
      1e300,
      -Infinity,
      1n,
      Symbol('s'),
      {},
      [],
      [1],
      Object.assign([], { length: 2 ** 32 - 1 }),
      new Proxy([], {}),
      new Uint8Array(0),
      new Uint8Array(3),
      new Int32Array(4),
      new Float64Array(2),
      new Float32Array(6),
      new DataView(new ArrayBuffer(4)),
      new ArrayBuffer(8),
    ]);
  /** A path, a part of its file that may lie beyond it, or what is in it, whole or cut off. */
  const image = () => {
    if (int(4) === 0) return [pick(files), int(fileBytes), int(2 * fileBytes)];
    if (int(40) === 0) return [pick(files), strange(), strange()];
    if (int(2) === 0) return pick(files);
    const bytes = pick(contents);
    const some = array(Uint8Array, int(4) === 0 ? int(bytes.length + 1) : bytes.length);
    some.set(bytes.subarray(0, some.length));
    return some;
  };
  const requests = (count, width, height) => {
    const all = array(Int32Array, count * 11);
    for (let i = 0; i < count; i++) {
      const crop = int(2) === 0 ? [0, 0, 0, 0] : [int(40) - 2, int(30) - 2, int(60) - 1, int(40)];
      const whole = int(2) === 0 ? [0, 0] : [width + int(30), height + int(30)];
      all.set([...crop, width, height, int(2), int(2), int(2), ...whole], i * 11);
    }
    if (count > 0 && int(8) === 0) all[int(all.length)] = pick([-1, 0, 70_000, 2 ** 31 - 1, -(2 ** 31)]);
    return all;
  };
  const threads = () => 1 + int(3);
  const job = () => int(5);
  const builds = {
    imageSizes() {
      const inputs = Array.from({ length: int(6) }, image);
      return [inputs, array(Int32Array, 2 * inputs.length), pick([1e9, 1e9, 100]), threads(), job()];
    },
    decodeFiles() {
      const [width, height] = [1 + int(40), 1 + int(40)];
      const inputs = Array.from({ length: int(6) }, image);
      const { length } = inputs;
      const out = array(Uint8Array, length * width * height * 3);
      return [inputs, requests(length, width, height), out, array(Uint8Array, length), 1e9, threads(), job()];
    },
    readPixels() {
      const [count, side, width, height] = [int(6), 1 + int(20), 1 + int(40), 1 + int(40)];
      const inMemory = int(2) === 0;
      const pixels = inMemory ? array(Uint8Array, count * side * side * 3) : descriptor;
      const places = array(Float64Array, count * 5);
      for (let i = 0; i < count; i++) {
        const offset = inMemory ? i * side * side * 3 : int(fileBytes);
        places.set([offset, side, side, 0, int(4) === 0 ? 1 : 0], i * 5);
      }
      if (count > 0 && int(8) === 0) places[int(places.length)] = pick([-1, Number.NaN, 1e15, 70_000, 0.5]);
      const out = array(Uint8Array, count * width * height * 3);
      return [
        pixels,
        places,
        requests(count, width, height),
        out,
        array(Uint8Array, count),
        threads(),
        job(),
      ];
    },
    warpImages() {
      const [count, side, outSide] = [int(6), 1 + int(30), 1 + int(30)];
      const matrices = array(Float32Array, count * 6);
      const wild = [Number.NaN, Infinity, -1e30, 1e30];
      for (let i = 0; i < matrices.length; i++) matrices[i] = int(30) === 0 ? pick(wild) : int(400) / 100 - 2;
      const pixels = array(Uint8Array, count * side * side * 3);
      const out = array(Uint8Array, count * outSide * outSide * 3);
      return [pixels, side, matrices, int(257) - 1, outSide, out, threads(), job()];
    },
    checksum: () => [array(Uint8Array, int(100))],
    cancel: () => [job()],
  };

  for (let call = 0; call < calls; call++) {
    counts.calls++;
    const [name, build] = pick(Object.entries(builds));
    const args = build();
    const arrays = args.flat().filter((one) => ArrayBuffer.isView(one));
    if (Array.isArray(args[0]) && int(12) === 0) args[0].push(strange());
    if (int(12) === 0 && arrays.length > 0) change(pick(arrays));
    for (let i = int(8) - 5; i > 0; i--) args[int(args.length)] = strange();
    if (int(20) === 0) args.length = int(args.length);
    try {
      const result = native[name](...args);
      if (int(2) === 0 && arrays.length > 0) change(pick(arrays));
      if (result instanceof Promise) {
        const settled = result.then(
          () => counts.done++,
          (error) => {
            if (!(error instanceof Error)) throw error;
            counts.rejections++;
          },
        );
        pending.add(settled);
        settled.finally(() => pending.delete(settled));
        // Meanwhile, and when the job has ended but nobody was told.
        if (int(3) === 0) await new Promise((resolve) => setTimeout(resolve, int(3)));
        if (int(2) === 0 && arrays.length > 0) change(pick(arrays));
      }
      counts.results++;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      counts.errors++;
    }
    if (pending.size > 30) await Promise.all(pending);
  }
  await Promise.all(pending);
  closeSync(descriptor);
  return counts;
}

async function main() {
  const [path, folder, calls = '4000'] = process.argv.slice(2);
  const start = (data) =>
    new Worker(fileURLToPath(import.meta.url), {
      workerData: { path, folder, calls: Number(calls), ...data },
    });
  const results = (seed) =>
    new Promise((resolve, reject) => {
      start({ seed }).once('message', resolve).once('error', reject);
    });
  const workers = [results(2), results(3)];
  const all = [await attack(path, folder, Number(calls), 1), ...(await Promise.all(workers))];
  // Threads that end while jobs are under way, and then the process.
  for (let round = 0; round < 3; round++) {
    const worker = start({ seed: 10 + round, calls: 1e9 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await worker.terminate();
  }
  start({ seed: 20, calls: 1e9 });
  await new Promise((resolve) => setTimeout(resolve, 200));
  console.log(JSON.stringify(all));
  process.exit(0);
}

if (isMainThread) await main();
else {
  const { path, folder, calls, seed } = workerData;
  parentPort.postMessage(await attack(path, folder, calls, seed));
}
