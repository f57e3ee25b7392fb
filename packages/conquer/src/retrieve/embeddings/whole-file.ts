import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { isSystemError, UserError } from '@conquer-dml/run';

/**
 * Writes a file of parts, whole or not at all.
 *
 * @throws UserError where it cannot be written; what was there before stays
 */
export function writeWhole(file: string, parts: Iterable<Uint8Array | string>): void {
  replaceWhole(file, (temporary) => {
    const descriptor = openSync(temporary, 'wx');
    try {
      for (const part of parts) {
        const bytes = typeof part === 'string' ? Buffer.from(part) : part;
        for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

/** The same by whatever writes to a path. */
export function replaceWhole(file: string, write: (temporary: string) => void): void {
  const temporary = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    write(temporary);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (!isSystemError(error)) throw error;
    throw new UserError(`${file} cannot be written: ${error.message}`);
  }
}
