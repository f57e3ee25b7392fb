import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '@conquer-dml/run';

export interface DownloadRequest {
  url: string;
  /** Where the file goes, in the end; until it is whole and checked it is called `file`.part. */
  file: string;
  /** Size in MiB, rounded to three digits: how torchvision states it. */
  mebibytes: number;
  /** The first digits of the SHA-256 sum, in hexadecimal. */
  sha256Prefix: string;
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
  const { file, url } = request;
  if ((await sizeOf(file)) !== null) {
    const wrong = await difference(request, file);
    if (wrong === null) return;
    throw new UserError(`${file} is not the published file: ${wrong}; delete it, then it is fetched again`);
  }
  const part = `${file}.part`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await fetchPart(request, part);
  } catch (error) {
    throw new UserError(
      `${url} cannot be fetched: ${reason(error)}; try again, or fetch that file elsewhere and put it at ${file}`,
    );
  }
  const wrong = await difference(request, part);
  if (wrong !== null) {
    await rm(part, { force: true });
    throw new UserError(
      `${url} is not the published file: ${wrong}; try again, or fetch it elsewhere and put it at ${file}`,
    );
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
  const { url, mebibytes, onProgress } = request;
  // Compressed on the way, the bytes would not be those that the sizes count.
  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (start > 0) headers.range = `bytes=${start}-`;
  const response = await fetch(url, { headers });
  if (response.status === 416 && start > 0) {
    await response.body?.cancel();
    if (fits(start, mebibytes)) return true; // nothing is missing
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
  if (!Number.isNaN(total) && !fits(total, mebibytes)) {
    await response.body.cancel();
    throw new Refused(`it has ${inMebibytes(total)} MiB there, ${mebibytes} were expected`);
  }
  const output = await openForWriting(part);
  try {
    let position = resumed ? start : 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      await output.write(chunk, 0, chunk.length, position);
      position += chunk.length;
      if (Number(inMebibytes(position)) > mebibytes) {
        throw new Refused(`it is larger than the ${mebibytes} MiB that were expected`);
      }
      onProgress?.({ done: position, total: Number.isNaN(total) ? mebibytes * 2 ** 20 : total });
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

const inMebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(3);

/** Whether so many bytes are so many MiB, as far as three digits tell. */
function fits(bytes: number, mebibytes: number): boolean {
  return Math.abs(bytes / 2 ** 20 - mebibytes) <= 0.001;
}

/** What is wrong with a file, or null. */
async function difference(
  { mebibytes, sha256Prefix }: DownloadRequest,
  file: string,
): Promise<string | null> {
  const size = (await sizeOf(file)) ?? 0;
  if (!fits(size, mebibytes)) return `it has ${inMebibytes(size)} MiB, ${mebibytes} were expected`;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk);
  const sum = hash.digest('hex');
  if (sum.startsWith(sha256Prefix)) return null;
  return `its SHA-256 sum starts with ${sum.slice(0, sha256Prefix.length)}, ${sha256Prefix} was expected`;
}

/** fetch() hides what went wrong in the cause of its error. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = 'code' in cause ? String(cause.code) : '';
  return cause.message || code || error.message;
}
