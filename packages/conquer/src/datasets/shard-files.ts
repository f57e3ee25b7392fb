import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { expandBraces } from './brace-pattern.js';
import { byCodePoint } from './code-point-order.js';
import { imageExtensions } from './image-tree.js';

/** A file that holds many images. */
export interface ShardFile {
  /** Absolute. */
  path: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/** What of a shard is read. Their names are those of its files or columns; null: what is there. */
export interface ShardOptions {
  image: string | null;
  label: string | null;
}

/** The images of a shard. */
export interface ShardImages {
  /** N paths, as images are named that lie in a file of many. */
  paths: string[];
  classNames: string[];
  /** (N,); −1 where none is said. */
  labels: ArrayLike<number>;
  /** Samples that hold none. */
  withoutImage: number;
}

export interface ShardFiles {
  /** The folder that the shards lie in, absolute. */
  folder: string;
  /** In the order of their names by code point; of a pattern in its own. */
  files: ShardFile[];
}

/** Kinds of shards by the end of their names. */
export const shardKinds = { webdataset: '.tar', parquet: '.parquet' } as const;

export type ShardKind = keyof typeof shardKinds;

const PACKED = /\.(tar\.(gz|xz|bz2|zst|lz4)|tgz|txz|tbz2?|parquet\.gz)$/i;

/**
 * The shards that a text names: a folder in which they lie (also in folders below it), one file, or a pattern with braces such as
 * `shard-{0000..0099}.tar`.
 *
 * @throws UserError where there are none, one of them is missing, or they are packed as a whole
 */
export async function shardFiles(kind: ShardKind, text: string): Promise<ShardFiles> {
  const ending = shardKinds[kind];
  const path = resolve(text);
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory()) {
    const names = (await namesIn(path)).sort(byCodePoint);
    const shards = names.filter((name) => name.endsWith(ending));
    if (shards.length > 0)
      return { folder: path, files: await stamped(shards.map((name) => join(path, name))) };
    const packed = names.find((name) => PACKED.test(name));
    throw packed === undefined
      ? new UserError(`${path}: expected files with names that end in ${ending} in it, found none`)
      : refusal(join(path, packed));
  }
  const listed = found ? [path] : expandBraces(path);
  const [first = path] = listed;
  const packed = listed.find((name) => PACKED.test(name));
  if (packed !== undefined) throw refusal(packed);
  if (!listed.every((name) => name.endsWith(ending)))
    throw new UserError(
      `${text}: expected a folder, a file with a name that ends in ${ending}, or a pattern such as shard-{0000..0099}${ending}`,
    );
  return { folder: commonParent(listed, dirname(first)), files: await stamped(listed) };
}

/** Which shards a text is the name or the pattern of, if of any. */
export function shardKindNamed(text: string): ShardKind | null {
  const kinds = Object.keys(shardKinds) as ShardKind[];
  return kinds.find((kind) => text.endsWith(shardKinds[kind])) ?? null;
}

/** Which shards a text names, if it names any; a folder does that holds shards of one kind, and no images beside them. */
export async function shardKindOf(text: string): Promise<ShardKind | null> {
  const path = resolve(text);
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) return shardKindNamed(path);
  const names = await namesIn(path);
  if (names.some((name) => imageExtensions.includes(extname(name).toLowerCase()))) return null;
  const kinds = Object.entries(shardKinds).filter(([, ending]) =>
    names.some((name) => name.endsWith(ending)),
  );
  return kinds.length === 1 ? (kinds[0]![0] as ShardKind) : null;
}

/** Names of the files in a folder and those below it, relative to it, but for those that begin with a dot. */
async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = relative(folder, join(entry.parentPath, entry.name));
    if (!entry.isDirectory() && !/(^|[\\/])\./.test(path)) names.push(path);
  }
  return names;
}

function commonParent(paths: readonly string[], from: string): string {
  let folder = from;
  while (
    !paths.every((path) => path.startsWith(folder === '/' ? '/' : `${folder}/`)) &&
    folder !== dirname(folder)
  )
    folder = dirname(folder);
  return folder;
}

async function stamped(paths: readonly string[]): Promise<ShardFile[]> {
  const files: ShardFile[] = [];
  const seen = new Map<string, string>();
  for (const path of paths) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${error.code})`;
      throw new UserError(`${path}: expected a shard, but ${why}`);
    });
    if (!found.isFile()) throw new UserError(`${path}: expected a shard, but it is no file`);
    const identity = `${found.dev}:${found.ino}`;
    const known = found.ino === 0 ? undefined : seen.get(identity);
    if (known !== undefined)
      throw new UserError(`${path}: it is the same file as ${basename(known)}, list a shard once`);
    seen.set(identity, path);
    files.push({ path, size: found.size, modified: found.mtimeMs });
  }
  return files;
}

function refusal(path: string): UserError {
  return new UserError(
    `${path}: a shard that is packed as a whole can only be read from its start, and images are drawn in any order: unpack it to a plain .tar (gunzip, zstd -d, …)`,
  );
}
