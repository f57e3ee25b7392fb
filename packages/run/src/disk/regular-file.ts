import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * Opens a regular file for reading; null for all else. A link is not followed, as it may lead out of the run's folder,
 * and a pipe does not make the server wait.
 */
export async function openRegularFile(path: string): Promise<FileHandle | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

/** What changes whenever a file is replaced or written; null where there is none. */
export async function fileVersion(path: string): Promise<string | null> {
  const file = await openRegularFile(path);
  if (file === null) return null;
  try {
    const { ino, size, mtimeMs } = await file.stat();
    return `${ino.toString(36)}-${size.toString(36)}-${Math.round(mtimeMs).toString(36)}`;
  } finally {
    await file.close();
  }
}

/** The value of a JSON file, null where there is none. @throws DamagedFile if it is too large or no JSON */
export async function readJson(path: string, maxBytes: number): Promise<unknown> {
  const file = await openRegularFile(path);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw new DamagedFile(`it is larger than ${maxBytes} bytes`);
    const text = await file.readFile('utf8');
    try {
      return JSON.parse(text);
    } catch {
      // JSON.parse's own message quotes the file.
      throw new DamagedFile('it is no JSON');
    }
  } finally {
    await file.close();
  }
}

/** A file of a run that is not what it should be. The message says why, and quotes nothing of the file. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
}
