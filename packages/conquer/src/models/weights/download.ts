import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '@conquer-dml/run';
import type { PublishedFile } from './published-file.js';

export interface DownloadRequest {
  url: string;
  /** Where the file goes, in the end. */
  file: string;
  /** What it is called until it is whole and checked; `file`.part when left out. */
  part?: string;
  /** What it must be. */
  published: PublishedFile;
  /** Sent with the request, to the host of `url` alone. */
  headers?: Readonly<Record<string, string>>;
  /** What one can do who cannot fetch it, for the message; to put it at `file` when left out. */
  otherwise?: string;
  /** Called as bytes arrive. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** How often a broken connection is taken up again within one call, as long as every turn brings bytes. */
const TURNS = 5;

/**
 * Makes sure that `file` is there, whole and as published. A file that is there is checked, not fetched again.
 * A download that was interrupted goes on where it stopped, in the next call too. The file takes its name after
 * size and hash were checked, so that a file of that name is never half of one. Two processes may fetch the same
 * file: both write the same bytes at the same places.
 *
 * @throws UserError that says which file to fetch from where and where to put it
 */
export async function download(request: DownloadRequest): Promise<void> {
  const { file, url, published, part = `${file}.part` } = request;
  const { otherwise = `fetch that file elsewhere and put it at ${file}` } = request;
  if ((await sizeOf(file)) !== null) {
    const wrong = await published.difference(file);
    if (wrong === null) return;
    throw new UserError(`${file} is not the published file: ${wrong}; delete it, then it is fetched again`);
  }
  try {
    await mkdir(dirname(file), { recursive: true });
    await fetchPart(request, part);
  } catch (error) {
    throw new UserError(`${url} cannot be fetched: ${reasonOf(error)}; try again, or ${otherwise}`);
  }
  const wrong = await published.difference(part);
  if (wrong !== null) {
    await rm(part, { force: true });
    throw new UserError(`${url} is not the published file: ${wrong}; try again, or ${otherwise}`);
  }
  try {
    await rename(part, file);
  } catch (error) {
    // Another process may have been faster with the same file.
    if ((await sizeOf(file)) === null) throw error;
  }
}

/** Fetches what `part` lacks. */
async function fetchPart(request: DownloadRequest, part: string): Promise<void> {
  for (let turn = 1; ; turn++) {
    const before = (await sizeOf(part)) ?? 0;
    try {
      if (await fetchRest(request, part, before)) return;
    } catch (error) {
      const arrived = ((await sizeOf(part)) ?? 0) > before;
      if (error instanceof Refused || !arrived || turn === TURNS) throw error;
    }
  }
}

/** The server answered, and what it answered will not do: to ask again at once is of no use. */
class Refused extends Error {}

/** One request for the bytes from `start` on. Returns false when it has to be made again, from the start. */
async function fetchRest(request: DownloadRequest, part: string, start: number): Promise<boolean> {
  const { url, published, onProgress } = request;
  // Compressed on the way, the bytes would not be those that the sizes count.
  const headers: Record<string, string> = { ...request.headers, 'accept-encoding': 'identity' };
  if (start > 0) headers.range = `bytes=${start}-`;
  const response = await fetch(url, { headers });
  if (response.status === 416 && start > 0) {
    await response.body?.cancel();
    if (published.fits(start)) return true; // nothing is missing
    await rm(part, { force: true });
    return false;
  }
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  const resumed = response.status === 206 && range !== null && Number(range[1]) === start;
  if (response.body === null || (response.status !== 200 && !resumed)) {
    await response.body?.cancel();
    throw new Refused(`the server answers ${response.status} ${response.statusText}`.trimEnd());
  }
  const total = Number(resumed ? range[2] : (response.headers.get('content-length') ?? Number.NaN));
  if (!Number.isNaN(total) && !published.fits(total)) {
    await response.body.cancel();
    throw new Refused(published.sizeFault(total, ' there'));
  }
  const output = await openForWriting(part);
  try {
    let position = resumed ? start : 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      await output.write(chunk, 0, chunk.length, position);
      position += chunk.length;
      if (published.isExceededBy(position)) {
        throw new Refused(`it is larger than the ${published.sizeInWords} that were expected`);
      }
      onProgress?.({ done: position, total: total || published.bytes || position });
    }
    if (!Number.isNaN(total) && position < total) throw new Error('the connection broke off');
    await output.truncate(position);
  } finally {
    await output.close();
  }
  return true;
}

/** Neither truncated nor appended to: what another process wrote there is the same. */
async function openForWriting(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r+');
  } catch {
    return await open(file, 'w');
  }
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).size;
  } catch {
    return null;
  }
}

/** fetch() hides what went wrong in the cause of its error. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = 'code' in cause ? String(cause.code) : '';
  return cause.message || code || error.message;
}
