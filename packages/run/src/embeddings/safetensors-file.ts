import type { FileHandle } from 'node:fs/promises';
import { DamagedFile } from '../disk/regular-file.js';

const MAX_HEADER = 10 << 20;
/** What a typed array and a single read can hold. */
const MAX_TENSOR = 2 ** 31 - 1;

interface TensorEntry {
  dtype: string;
  shape: number[];
  start: number;
  bytes: number;
}

/**
 * Reads tensors of a safetensors file one by one: an 8-byte little-endian length, a JSON header of that length,
 * then the data. Only what a run's embeddings need: float32 and int32.
 */
export class SafetensorsFile {
  private constructor(
    private readonly file: FileHandle,
    readonly metadata: Readonly<Record<string, unknown>>,
    private readonly entries: ReadonlyMap<string, TensorEntry>,
  ) {}

  /** @throws DamagedFile */
  static async open(file: FileHandle): Promise<SafetensorsFile> {
    const { size } = await file.stat();
    const prefix = await readExactly(file, 0, 8, size);
    const length = Number(prefix.readBigUInt64LE(0));
    if (length > MAX_HEADER) throw new DamagedFile('its header is too long');
    const text = (await readExactly(file, 8, length, size)).toString('utf8');
    let header: unknown;
    try {
      header = JSON.parse(text);
    } catch {
      throw new DamagedFile('its header is no JSON');
    }
    if (typeof header !== 'object' || header === null) throw new DamagedFile('its header is no object');
    const entries = new Map<string, TensorEntry>();
    let metadata: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(header)) {
      if (name === '__metadata__') metadata = (value ?? {}) as Record<string, unknown>;
      else entries.set(name, entryOf(value, 8 + length, size));
    }
    return new SafetensorsFile(file, metadata, entries);
  }

  shape(name: string): readonly number[] | null {
    return this.entries.get(name)?.shape ?? null;
  }

  /** @throws DamagedFile if there is no such tensor of that shape (-1: any size) */
  async float32(name: string, shape: readonly number[]): Promise<Float32Array> {
    const { buffer, byteOffset, byteLength } = await this.read(name, 'F32', shape);
    return new Float32Array(buffer, byteOffset, byteLength / 4);
  }

  /** @throws DamagedFile if there is no such tensor of that shape (-1: any size) */
  async int32(name: string, shape: readonly number[]): Promise<Int32Array> {
    const { buffer, byteOffset, byteLength } = await this.read(name, 'I32', shape);
    return new Int32Array(buffer, byteOffset, byteLength / 4);
  }

  private async read(name: string, dtype: string, shape: readonly number[]): Promise<Buffer> {
    const entry = this.entries.get(name);
    const fits =
      entry?.dtype === dtype &&
      entry.shape.length === shape.length &&
      entry.shape.every((size, i) => shape[i] === -1 || shape[i] === size);
    if (!entry || !fits) throw new DamagedFile(`it has no tensor ${name} of ${dtype} [${shape}]`);
    const buffer = Buffer.from(new ArrayBuffer(entry.bytes));
    for (let done = 0; done < entry.bytes; ) {
      const { bytesRead } = await this.file.read(buffer, done, entry.bytes - done, entry.start + done);
      if (bytesRead === 0) throw new DamagedFile('it is cut off');
      done += bytesRead;
    }
    return buffer;
  }
}

async function readExactly(file: FileHandle, start: number, length: number, size: number): Promise<Buffer> {
  if (start + length > size) throw new DamagedFile('it is cut off');
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, start);
  if (bytesRead < length) throw new DamagedFile('it is cut off');
  return buffer;
}

function entryOf(value: unknown, dataStart: number, fileSize: number): TensorEntry {
  const broken = new DamagedFile('its header describes no tensors');
  if (typeof value !== 'object' || value === null) throw broken;
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  const sizes = (numbers: unknown): numbers is number[] =>
    Array.isArray(numbers) && numbers.every((number) => Number.isSafeInteger(number) && number >= 0);
  if (typeof dtype !== 'string' || !sizes(shape) || !sizes(offsets) || offsets.length !== 2) throw broken;
  const [start, end] = offsets as [number, number];
  const bytes = end - start;
  if (bytes < 0 || bytes > MAX_TENSOR || dataStart + end > fileSize) throw broken;
  const fourBytes = dtype === 'F32' || dtype === 'I32';
  if (fourBytes && shape.reduce((product, size) => product * size, 4) !== bytes) throw broken;
  return { dtype, shape, start: dataStart + start, bytes };
}
