import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

/** Bytes that are read at a time. */
const READ = 1 << 22;

/** SHA-256 of a file, in hexadecimal. @throws a system's error where it cannot be read */
export function sha256OfFile(path: string): string {
  const hash = createHash('sha256');
  const bytes = Buffer.alloc(READ);
  const file = openSync(path, 'r');
  try {
    for (let read = readSync(file, bytes); read > 0; read = readSync(file, bytes))
      hash.update(bytes.subarray(0, read));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
