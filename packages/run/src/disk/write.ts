import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../error.js';

/** What to do where nothing can be written: what only reads goes on without. */
const ELSEWHERE = '; copy what is there to a place that can be written, or name another one';

/** Why a file could not be written, in words. */
export function writeProblem(path: string, error: unknown): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'it would be larger than this process may write (ulimit -f)',
    EROFS: `the disk is read-only${ELSEWHERE}`,
    EACCES: `there is no permission${ELSEWHERE}`,
    EPERM: `there is no permission${ELSEWHERE}`,
    ENOENT: `the folder ${dirname(path)} is gone`,
  };
  return new UserError(`${path} cannot be written: ${reasons[code ?? ''] ?? message}`);
}

function writeAll(descriptor: number, part: string | Uint8Array): void {
  const bytes = typeof part === 'string' ? Buffer.from(part) : part;
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}

/**
 * Writes a whole file or nothing: a reader never sees half of it, nor does one after a power cut.
 *
 * @param contents a text, or parts that lie one after the other
 * @throws UserError when it cannot be written; what was there before stays
 */
export function writeFileAtomic(path: string, contents: string | readonly Uint8Array[]): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      for (const part of typeof contents === 'string' ? [contents] : contents) writeAll(descriptor, part);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw writeProblem(path, error);
  }
}

/**
 * Adds a line of JSON to a log.
 *
 * @param options.durable whether it is on the disk before anything that is written afterwards; default true
 * @throws UserError when it cannot be written
 */
export function appendLine(path: string, record: object, { durable = true } = {}): void {
  try {
    const descriptor = openSync(path, 'a');
    try {
      writeAll(descriptor, `${JSON.stringify(record)}\n`);
      if (durable) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw writeProblem(path, error);
  }
}

/** Younger temporary files may be somebody's who writes just now. */
const LEFT_OVER_AFTER_SECONDS = 60;

/** Clears away what a killed process was writing into a folder. */
export function removeLeftOvers(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const file = join(folder, name);
    if (!name.endsWith('.tmp')) continue;
    const age = (Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)) / 1000;
    if (age > LEFT_OVER_AFTER_SECONDS) rmSync(file, { force: true });
  }
}
