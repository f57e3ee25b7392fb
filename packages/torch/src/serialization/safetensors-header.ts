import { isUtf8 } from 'node:buffer';
import { elementCount } from './element-types.js';
import type { FileReader } from './file-reader.js';
import { JsonScanner } from './json-scanner.js';
import { COST, type MemoryBudget } from './memory-budget.js';
import { quoted, SerializationError } from './serialization-error.js';
import { type StoredType, storedTypesBySafetensors } from './stored-type.js';

/** Where a safetensors file keeps one tensor. */
export interface SafetensorsEntry {
  name: string;
  type: StoredType;
  shape: number[];
  /** Bytes from the start of the data, the end exclusive. */
  start: number;
  end: number;
}

export interface SafetensorsHeader {
  /** In the order of the header. */
  entries: SafetensorsEntry[];
  metadata: Record<string, string>;
  /** Where the data starts in the file, bytes. */
  dataStart: number;
}

const LENGTH_BYTES = 8;
/** The limit of the format's own library. */
const MAX_HEADER_BYTES = 100_000_000;
/** The most that libtorch's iterators take. */
const MAX_DIMENSIONS = 64;
/** Data that starts at a multiple of a cache line can be mapped into memory and used in place. */
const ALIGNMENT = 64;
/** How much space before a header is looked through to tell what a file is. */
const MAX_LEADING_SPACE = 1024;

/** Whether the file starts as a safetensors file does: a length that it has room for, then a JSON object. */
export function looksLikeSafetensors(file: FileReader): boolean {
  if (file.size < LENGTH_BYTES + 2) return false;
  const length = Number(file.read(0, LENGTH_BYTES).readBigUInt64LE());
  if (length < 2 || length > Math.min(file.size - LENGTH_BYTES, MAX_HEADER_BYTES)) return false;
  const start = file.read(LENGTH_BYTES, Math.min(length, MAX_LEADING_SPACE));
  return /^[ \t\n\r]*\{/.test(start.toString('latin1'));
}

/**
 * Reads and checks a header: its length against the file's, every tensor's size against its shape and dtype, and that
 * the tensors cover the data from its first byte to its last, without gap or overlap (as the format demands). As its
 * own library, it passes over fields that it does not know, and of a name that is given twice it takes the last. Beyond
 * it, metadata that are no text are kept as their JSON.
 *
 * Format: 8 bytes little-endian header length, the header (JSON between spaces), the tensors' bytes.
 * https://huggingface.co/docs/safetensors
 */
export function readSafetensorsHeader(file: FileReader, budget: MemoryBudget): SafetensorsHeader {
  const fail = (message: string) => new SerializationError(`${file.path}: ${message}`);
  if (file.size < LENGTH_BYTES + 2) {
    throw fail(`expected a safetensors file, found ${file.size} bytes: too few for a header`);
  }
  const length = Number(file.read(0, LENGTH_BYTES).readBigUInt64LE());
  const room = Math.min(file.size - LENGTH_BYTES, MAX_HEADER_BYTES);
  if (length > room) {
    throw fail(
      `its header says it is ${length} bytes long, but it can be at most ${room}: not a safetensors file, or cut short`,
    );
  }
  const bytes = file.read(LENGTH_BYTES, length);
  if (!/^[ \t\n\r]*\{/.test(bytes.toString('latin1', 0, MAX_LEADING_SPACE)))
    throw fail("the header does not start with '{': not a safetensors file");
  if (!isUtf8(bytes)) throw fail('the header is not UTF-8: not a safetensors file, or damaged');

  const scanner = new JsonScanner(bytes.toString('utf8'), `${file.path}: header`);
  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Map<string, string> | null = null;
  scanner.object((name) => {
    if (name === '__metadata__') {
      if (metadata !== null) throw scanner.error('the key "__metadata__" appears twice');
      metadata = scanMetadata(scanner, budget);
    } else {
      budget.charge(COST.tensor);
      entries.set(name, scanEntry(scanner, name));
    }
  });
  scanner.end();

  for (const entry of entries.values()) checkSize(entry, fail);
  const dataStart = LENGTH_BYTES + length;
  const inOrder = [...entries.values()];
  checkCoverage(inOrder, file.size - dataStart, fail);
  return { entries: inOrder, metadata: Object.fromEntries(metadata ?? []), dataStart };
}

function scanMetadata(scanner: JsonScanner, budget: MemoryBudget): Map<string, string> {
  const metadata = new Map<string, string>();
  if (scanner.null()) return metadata;
  scanner.object((key) => {
    budget.charge(COST.map);
    metadata.set(key, scanner.atString() ? scanner.string() : scanner.skip());
  });
  return metadata;
}

function scanEntry(scanner: JsonScanner, name: string): SafetensorsEntry {
  const tensor = `tensor ${quoted(name)}`;
  let type: StoredType | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const once = (field: unknown, key: string) => {
    if (field !== undefined) throw scanner.error(`${tensor}: the key ${quoted(key)} appears twice`);
  };
  scanner.object((key) => {
    switch (key) {
      case 'dtype': {
        once(type, key);
        const dtype = scanner.string();
        type = storedTypesBySafetensors.get(dtype);
        if (type === undefined) {
          throw scanner.error(
            `${tensor} has the dtype ${quoted(dtype)}: expected one of ${[...storedTypesBySafetensors.keys()].join(', ')}`,
          );
        }
        break;
      }
      case 'shape':
        once(shape, key);
        shape = scanner.naturals(MAX_DIMENSIONS);
        break;
      case 'data_offsets':
        once(offsets, key);
        offsets = scanner.naturals(2);
        break;
      default:
        scanner.skip();
    }
  });
  const [start, end] = offsets ?? [];
  if (type === undefined || shape === undefined || start === undefined || end === undefined) {
    throw scanner.error(`${tensor} needs a dtype, a shape and two data_offsets`);
  }
  return { name, type, shape, start, end };
}

function checkSize(
  { name, type, shape, start, end }: SafetensorsEntry,
  fail: (message: string) => Error,
): void {
  const bytes = (elementCount(shape) * type.bits) / 8;
  if (end - start !== bytes) {
    throw fail(
      `header: tensor ${quoted(name)} takes ${bytes} bytes by its shape [${shape.join(', ')}] and dtype ${type.safetensors}, but its offsets ${start} to ${end} hold ${end - start}`,
    );
  }
}

function checkCoverage(entries: SafetensorsEntry[], size: number, fail: (message: string) => Error): void {
  let covered = 0;
  // An empty tensor shares its start with the next one: it comes first.
  for (const { name, start, end } of entries.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (start !== covered) {
      throw fail(
        `tensor ${quoted(name)} starts at byte ${start} of the data, expected ${covered}: tensors must follow each other without gap or overlap`,
      );
    }
    if (end > size) {
      throw fail(
        `tensor ${quoted(name)} ends at byte ${end} of the data, which has only ${size}: the file is cut short`,
      );
    }
    covered = end;
  }
  if (covered !== size) throw fail(`the tensors take ${covered} bytes of data, but the file holds ${size}`);
}

/** The first bytes of a file: the header's length, the header, spaces up to a multiple of 64. */
export function encodeSafetensorsHeader(
  entries: SafetensorsEntry[],
  metadata: Record<string, string>,
): Buffer {
  // Written entry by entry: an object would put names that look like numbers first and lose '__proto__'.
  const parts = entries.map(
    ({ name, type, shape, start, end }) =>
      `${JSON.stringify(name)}:{"dtype":"${type.safetensors}","shape":${JSON.stringify(shape)},"data_offsets":[${start},${end}]}`,
  );
  if (Object.keys(metadata).length > 0) parts.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = Buffer.from(`{${parts.join(',')}}`);
  const total = Math.ceil((LENGTH_BYTES + json.length) / ALIGNMENT) * ALIGNMENT;
  const bytes = Buffer.alloc(total, ' ');
  bytes.writeBigUInt64LE(BigInt(total - LENGTH_BYTES));
  json.copy(bytes, LENGTH_BYTES);
  return bytes;
}
