import { open } from 'node:fs/promises';
import { ImageError } from './error.js';

/** An image that is a part of a file of many, such as a member of a tar archive. */
export interface FilePart {
  path: string;
  /** Of its first byte. */
  offset: number;
  /** In bytes. */
  length: number;
}

/** How a path names one: `shard.tar#NAME&bytes=OFFSET,LENGTH`. In NAME, a # is written %23. */
const PART = /^(.*)#[^#]*&bytes=(\d{1,15}),(\d{1,10})$/s;

/** The part of a file that a path names; null: it names a whole one. */
export function partOfFile(path: string): FilePart | null {
  if (!path.includes('#')) return null;
  const [, file, offset, length] = PART.exec(path) ?? [];
  return file === undefined ? null : { path: file, offset: Number(offset), length: Number(length) };
}

/** The path of a part of a file. @param name of what lies there, for people */
export function filePartPath({ path, offset, length }: FilePart, name: string): string {
  return `${path}#${name.replaceAll('#', '%23')}&bytes=${offset},${length}`;
}

/** @throws ImageError where the file cannot be opened, or ends before the part does */
export async function readPart({ path, offset, length }: FilePart, name: string): Promise<Buffer> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === 'ENOENT' ? 'there is no such file' : `it cannot be opened (${error.code})`;
    throw new ImageError(name, reason, { cause: error });
  });
  try {
    const { size } = await file.stat();
    if (offset + length > size)
      throw new ImageError(
        name,
        `the file has ${size} bytes and the image lies beyond: it was cut short, or changed since it was listed`,
      );
    if (length === 0) throw new ImageError(name, 'it has no bytes');
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer;
  } finally {
    await file.close();
  }
}
