import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageInput } from '@conquer-dml/image';
import { type FileStamp, UserError } from '@conquer-dml/run';
import { tensor } from '@conquer-dml/torch';
import { requireFiniteRows } from '../evaluate/finite-rows.js';
import type { Embedder } from './embedder.js';
import { safetensorsFormat } from './embeddings/safetensors-format.js';

/** Images whose rows are kept together while others are still to be embedded: what an interruption costs at most. */
const PORTION = 1024;

/** An image that is to be embedded. */
export interface PortionImage {
  image: ImageInput;
  /** What it is of, and how that file stood; null: of no file, so that its row is never kept. */
  file: { path: string; stamp: FileStamp } | null;
}

export interface PortionOptions {
  /**
   * A folder in which rows are kept, portion by portion, for a call that comes after an interruption; it takes those of images that
   * have not changed, by the same embedder. Who has written all rows down elsewhere removes them (removeKeptRows). Left out: nothing is
   * kept.
   */
  keepIn?: string | undefined;
  /** Images that cannot be read are left out (default), or end it. */
  onBadImage?: 'skip' | 'fail' | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Images of a batch; default 64. */
  batchSize?: number | undefined;
  /** Ends the work early, with Interrupted. */
  signal?: AbortSignal | undefined;
  /** Images that have a row or were left out so far, those before an interruption among them. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Told of images that cannot be read and are left out, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

export interface EmbeddedImages {
  /** (M × D) of the images that could be read, in their order, one after the other. */
  rows: Float32Array;
  /** Places, among all images, of those that could not. */
  bad: ReadonlySet<number>;
  /** Rows that were there from an interrupted call. */
  kept: number;
}

/**
 * Embeds images, as many at a time as are worth being kept.
 *
 * @throws TypeError for an embedder that gives no rows of its size; UserError for rows that are not finite
 * @throws ImageError naming the first image that cannot be read, if these are not left out; Interrupted after `signal` was aborted
 */
export async function embedInPortions(
  embedder: Embedder,
  images: readonly PortionImage[],
  options: PortionOptions = {},
): Promise<EmbeddedImages> {
  const { keepIn, onBadImage = 'skip', threads, batchSize, signal, onProgress, onWarning } = options;
  const { dim } = embedder;
  const store = keepIn === undefined ? null : new KeptRows(keepIn, embedder, onWarning);
  const rows = new Float32Array(images.length * dim);
  const bad = new Set<number>();
  const total = images.length;
  let [filled, kept] = [0, 0];
  const size = store ? PORTION : Math.max(1, total);
  for (let start = 0; start < total; start += size) {
    const portion = images.slice(start, start + size);
    const before = portion.map(({ file }) => (file && store?.find(file)) ?? null);
    const missing = [...portion.keys()].filter((at) => before[at] === null);
    const badHere = new Set<number>();
    const has = portion.length - missing.length;
    const made =
      missing.length === 0
        ? new Float32Array(0)
        : await embedder.embed(
            missing.map((at) => portion[at]!.image),
            {
              threads,
              batchSize,
              signal,
              onProgress: (done) => onProgress?.({ done: start + has + done + badHere.size, total }),
              ...(onBadImage === 'skip' && {
                onBad: (error: Error, place: number) => {
                  badHere.add(missing[place]!);
                  onWarning?.(`${error.message}; it is left out`);
                },
              }),
            },
          );
    const good = missing.filter((at) => !badHere.has(at));
    requireRows(made, good.length, dim);
    store?.keep(
      good.map((at) => portion[at]!.file),
      made,
    );
    for (const at of badHere) bad.add(start + at);
    let next = 0;
    for (const [at, known] of before.entries()) {
      if (badHere.has(at)) continue;
      rows.set(known ?? made.subarray(next * dim, ++next * dim), dim * filled++);
    }
    kept += has;
    onProgress?.({ done: start + portion.length, total });
  }
  return { rows: rows.subarray(0, filled * dim), bad, kept };
}

/** Of what an embedder gave, which may be code of one's own. */
function requireRows(made: Float32Array, count: number, dim: number): void {
  if (!(made instanceof Float32Array) || made.length !== count * dim)
    throw new TypeError(
      `the embedder: expected a Float32Array of ${count} rows of ${dim} numbers for ${count} images, got ${made instanceof Float32Array ? `${made.length} numbers` : typeof made}`,
    );
  if (count === 0) return;
  using rows = tensor(made, { shape: [count, dim] }).keep();
  requireFiniteRows(rows, (row) => `image ${row + 1} of those that were embedded`);
}

type File = NonNullable<PortionImage['file']>;

const keyOf = ({ path, stamp }: File) => JSON.stringify([path, stamp.size, stamp.modified]);

/** Rows in the files of a folder, by the images' files and how these stood; those of another embedder are not found. */
class KeptRows {
  private readonly rows = new Map<string, Float32Array>();
  private readonly prefix: string;

  constructor(
    private readonly folder: string,
    private readonly embedder: Embedder,
    onWarning?: PortionOptions['onWarning'],
  ) {
    this.prefix = hashOf([embedder.id, embedder.view]);
    if (!existsSync(folder)) return;
    if (!statSync(folder).isDirectory())
      throw new UserError(
        `${folder}: expected a folder, in which rows are kept until all are there, got a file: move it away`,
      );
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(this.prefix) || !name.endsWith(safetensorsFormat.extension)) continue;
      let kept: Kept;
      try {
        kept = safetensorsFormat.read(join(folder, name)) as Kept;
      } catch (error) {
        onWarning?.(`rows of an interrupted call are made again: ${(error as Error).message}`);
        continue;
      }
      const { ids, rows, dim } = kept;
      for (const [n, id] of ids.entries()) this.rows.set(id, rows.subarray(n * dim, (n + 1) * dim));
    }
  }

  find(file: File): Float32Array | null {
    return this.rows.get(keyOf(file)) ?? null;
  }

  /** @param files N, null for a row that is not kept */
  keep(files: readonly (File | null)[], made: Float32Array): void {
    const { dim, id: embedder } = this.embedder;
    const known = [...files.keys()].filter((n) => files[n] !== null);
    if (known.length === 0) return; // nothing to go on with
    const rows = new Float32Array(known.length * dim);
    for (const [at, n] of known.entries()) rows.set(made.subarray(n * dim, (n + 1) * dim), at * dim);
    const ids = known.map((n) => keyOf(files[n]!));
    const paths = known.map((n) => files[n]!.path);
    mkdirSync(this.folder, { recursive: true });
    const name = `${this.prefix}-${hashOf(ids)}${safetensorsFormat.extension}`;
    void safetensorsFormat.write(join(this.folder, name), { ids, paths, rows, dim, embedder });
  }
}

/** Removes what calls with this folder have kept in it, and the folder where nothing else is in it. */
export function removeKeptRows(folder: string): void {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return;
  for (const name of readdirSync(folder))
    if (/^[0-9a-f]{16}-[0-9a-f]{16}\.safetensors/.test(name)) rmSync(join(folder, name), { force: true });
  try {
    rmdirSync(folder);
  } catch {
    // Something of somebody else's is in it, or it is a link.
  }
}

type Kept = Exclude<ReturnType<typeof safetensorsFormat.read>, Promise<unknown>>;

const hashOf = (what: unknown) =>
  createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16);
