import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FuzzReport, fuzz } from '@conquer-dml/testing/fuzz';
import type { Mutations } from '@conquer-dml/testing/mutations';
import { liveTensors, scope } from '../index.js';
import { FileReader } from '../serialization/file-reader.js';
import { MemoryBudget } from '../serialization/memory-budget.js';
import { readPickle, readPth } from '../serialization/pth.js';
import { readSafetensors } from '../serialization/safetensors.js';
import { SerializationError } from '../serialization/serialization-error.js';
import { looksLikeZip, readZip, readZipEntry } from '../serialization/zip-reader.js';
import { ZipWriter } from '../serialization/zip-writer.js';

const SEEDS = fileURLToPath(new URL('../serialization/fixtures/', import.meta.url));

/** Reads `inputs` damaged `.pth` files. Throws where one ends in anything but a result or a SerializationError. */
export function fuzzPth(inputs: number, seed: number): Promise<FuzzReport> {
  const files = readdirSync(SEEDS)
    .filter((name) => name.endsWith('.pth'))
    .sort()
    .map((name) => readFileSync(join(SEEDS, name)));
  const archives = readdirSync(SEEDS)
    .sort()
    .map((name) => entriesOf(join(SEEDS, name)))
    .filter((entries) => entries.length > 0);
  const pickles = archives.flatMap((entries) => entries.filter(({ name }) => name.endsWith('data.pkl')));
  let whole = false;
  const next = (mutations: Mutations): Uint8Array => {
    whole = mutations.int(4) === 0;
    if (mutations.int(3) === 0) return mutations.damage(mutations.pick(files), files);
    // Checksums would stop nearly all of the above: damage the pickle inside an archive that is whole.
    const others = pickles.map(({ bytes }) => bytes);
    return archive(
      mutations
        .pick(archives)
        .map(({ name, bytes }) =>
          name.endsWith('data.pkl') ? { name, bytes: mutations.damage(bytes, others) } : { name, bytes },
        ),
    );
  };
  return run(inputs, seed, next, (path) => (whole ? readPth(path) : readPickle(path)));
}

/** The same for safetensors files, most of them damaged in the text of the header, with the length put right. */
export function fuzzSafetensors(inputs: number, seed: number): Promise<FuzzReport> {
  const tensor = (dtype: string, shape: number[], start: number, end: number) => ({
    dtype,
    shape,
    data_offsets: [start, end],
  });
  const headers = [
    { a: tensor('F32', [2, 3], 0, 24), 'b.é"': tensor('BF16', [4], 24, 32), c: tensor('BOOL', [], 32, 33) },
    {
      __metadata__: { format: 'pt', note: 'x\n' },
      w: tensor('I64', [2], 0, 16),
      none: tensor('U8', [0, 7], 16, 16),
    },
    {},
    {
      __metadata__: null,
      h: tensor('F8_E4M3', [3], 16, 19),
      u: { ...tensor('U64', [2], 0, 16), more: [-1.5e3, { x: null, y: [true, 'z'] }, []] },
    },
  ].map((header) => JSON.stringify(header));
  const sizes = [33, 16, 0, 19];
  const build = (text: string, size: number): Buffer => {
    const json = Buffer.from(text);
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([head, json, Buffer.alloc(size, 0xa5)]);
  };
  const seeds = headers.map((text, i) => build(text, sizes[i] ?? 0));
  const next = (mutations: Mutations): Uint8Array => {
    if (mutations.int(2) === 0) return mutations.damage(mutations.pick(seeds), seeds);
    const which = mutations.int(headers.length);
    return build(mutations.damageText(headers[which] ?? ''), sizes[which] ?? 0);
  };
  return run(inputs, seed, next, readSafetensors);
}

/** An archive of stored entries, in memory. */
export function archive(entries: { name: string; bytes: Uint8Array }[]): Buffer {
  const parts: Buffer[] = [];
  const sink = {
    position: 0,
    write(bytes: Uint8Array) {
      parts.push(Buffer.from(bytes));
      sink.position += bytes.length;
    },
  };
  const zip = new ZipWriter(sink);
  for (const { name, bytes } of entries) zip.add(name, bytes);
  zip.finish();
  return Buffer.concat(parts);
}

function entriesOf(path: string): { name: string; bytes: Uint8Array }[] {
  using file = new FileReader(path);
  if (!looksLikeZip(file)) return [];
  const entries = readZip(file, new MemoryBudget(path, file.size));
  return [...entries.values()].map((entry) => ({ name: entry.name, bytes: readZipEntry(file, entry) }));
}

async function run(
  inputs: number,
  seed: number,
  next: (mutations: Mutations) => Uint8Array,
  read: (path: string) => unknown,
): Promise<FuzzReport> {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-hostile-'));
  const path = join(folder, 'input');
  const file = openSync(path, 'w');
  const alive = liveTensors();
  try {
    return await fuzz({
      inputs,
      seed,
      next,
      read: (bytes) => {
        // Cut to its new length afterwards: some file systems wait for the disk when a file is emptied and written.
        writeSync(file, bytes, 0, bytes.length, 0);
        ftruncateSync(file, bytes.length);
        scope(() => {
          read(path);
        });
      },
      isClean: (error) => error instanceof SerializationError,
      check: () => {
        if (liveTensors() !== alive) throw new Error(`an input left ${liveTensors() - alive} tensors behind`);
      },
    });
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}
