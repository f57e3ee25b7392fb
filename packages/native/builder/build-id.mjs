// The number that a linker gives each library it makes (the note GNU_BUILD_ID of an ELF file): it stays when the file is
// stripped, and is another for every other build. Read without loading the library.
import { closeSync, openSync, readSync } from 'node:fs';

const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;

function readAt(descriptor, position, length) {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(descriptor, bytes, 0, length, position));
}

/** The build id among the notes of a segment, in hexadecimal digits. */
function buildIdIn(notes, alignment) {
  const padded = (length) => Math.ceil(length / alignment) * alignment;
  for (let at = 0; at + 12 <= notes.length; ) {
    const [nameLength, length, type] = [0, 4, 8].map((field) => notes.readUInt32LE(at + field));
    const name = notes.toString('latin1', at + 12, at + 12 + nameLength);
    const start = at + padded(12 + nameLength);
    if (type === NT_GNU_BUILD_ID && name === 'GNU\0') return notes.toString('hex', start, start + length);
    at = start + padded(length);
  }
  return null;
}

/** @returns {string | null} null of a file that is no 64-bit ELF file, or has none @throws the system's error, if there is no file */
export function buildId(file) {
  const descriptor = openSync(file, 'r');
  try {
    const head = readAt(descriptor, 0, 64);
    const isElf = head.length === 64 && head.toString('latin1', 0, 6) === '\x7fELF\x02\x01';
    if (!isElf) return null;
    const [size, count] = [head.readUInt16LE(54), head.readUInt16LE(56)];
    const headers = readAt(descriptor, Number(head.readBigUInt64LE(32)), size * count);
    for (let at = 0; at + size <= headers.length; at += size) {
      if (headers.readUInt32LE(at) !== PT_NOTE) continue;
      const [offset, length, alignment] = [8, 32, 48].map((field) =>
        Number(headers.readBigUInt64LE(at + field)),
      );
      const found = buildIdIn(readAt(descriptor, offset, length), alignment === 8 ? 8 : 4);
      if (found !== null) return found;
    }
    return null;
  } finally {
    closeSync(descriptor);
  }
}
