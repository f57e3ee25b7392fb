import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { sha256OfFile } from '../disk/sha256.js';
import { writeFileAtomic, writeProblem } from '../disk/write.js';
import { UserError } from '../error.js';
import { takeLock } from '../run-lock.js';
import { filesOfGraph, graphOf } from './graph-record.js';
import { type IndexManifest, isOwnFile, manifestFault, type SegmentRecord } from './index-manifest.js';

const MANIFEST = 'manifest.json';
const LOCK = 'writing.json';

/**
 * The folder that an index is on the disk: a manifest, and files that it names, each of which is written once and never changed.
 * A write makes new files and then renames the manifest, so that the old index or the new one is whole, whenever it ends.
 */
export class IndexFolder {
  /** Absolute. */
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** Whether there is an index, whole or damaged. */
  exists(): boolean {
    return existsSync(this.file(MANIFEST));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** What a page shows of it, as a run's folder holds that; there once it was mapped, and until its items change. */
  get map(): string {
    return this.file('map');
  }

  /** @throws UserError where there is none, or it is none */
  manifest(): IndexManifest {
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(this.file(MANIFEST), 'utf8'));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR')
        throw new UserError(
          `${this.path}: expected an index that conquer index wrote, there is no ${MANIFEST} in it`,
        );
      throw this.damaged(code ? message : `${MANIFEST} is no JSON`);
    }
    const fault = manifestFault(value);
    if (fault !== null) throw this.damaged(fault);
    return value as IndexManifest;
  }

  /** What to say of an index that cannot be read. */
  damaged(problem: string): UserError {
    return new UserError(
      `${this.path} is damaged: ${problem}; delete it and make it again with npx conquer index`,
    );
  }

  /** A name that no file in it has. */
  newName(): string {
    return randomBytes(8).toString('hex');
  }

  /**
   * Makes the folder where there is none, and takes the right to write; the returned function gives it back.
   * @throws UserError where another writer has it, or something else is there
   */
  lock(): () => void {
    const there = statSync(this.path, { throwIfNoEntry: false });
    if (there && !there.isDirectory())
      throw new UserError(`${this.path}: expected the folder of an index or nothing, it is a file`);
    if (there && !this.exists() && readdirSync(this.path).some((name) => !isOwnFile(name) && name !== LOCK))
      throw new UserError(
        `${this.path}: expected the folder of an index or an empty one, it holds other files: give another name`,
      );
    try {
      mkdirSync(this.path, { recursive: true });
    } catch (error) {
      throw writeProblem(this.path, error);
    }
    const unlock = takeLock(this.file(LOCK), this.path, 'is being written');
    return () => {
      unlock();
      if (!this.exists()) this.#removeEmpty();
    };
  }

  /** A folder in which nothing was written after all. */
  #removeEmpty(): void {
    try {
      rmdirSync(this.path);
    } catch {
      // Somebody else writes there, or it was there before.
    }
  }

  /**
   * The write itself: from here on the index is what `manifest` says. To be called by who has the lock, when the files that
   * it names are on the disk. What it does not name goes away, what killed writers left behind too.
   */
  commit(manifest: IndexManifest): void {
    this.#sync();
    if (!this.#holds(manifest)) rmSync(this.map, { recursive: true, force: true });
    writeFileAtomic(this.file(MANIFEST), JSON.stringify(manifest, null, 1));
    this.#sync();
    this.sweep(manifest);
  }

  /** Whether the items and rows are those already: a calibration or a graph changes neither. */
  #holds({ segments }: IndexManifest): boolean {
    try {
      return JSON.stringify(this.manifest().segments) === JSON.stringify(segments);
    } catch {
      return false;
    }
  }

  /** That the names in it are on the disk too. */
  #sync(): void {
    const folder = openSync(this.path, 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /** Reads all of it. @throws UserError where a file is not what was written */
  check(): void {
    const { segments, graph } = this.manifest();
    for (const { name, sha256 } of segments) {
      for (const [kind, wanted] of Object.entries(sha256)) {
        const file = `${name}.${kind}`;
        if (sha256Of(this.file(file)) !== wanted) throw this.damaged(`${file} is not what was written`);
      }
    }
    const made = graphOf(graph);
    for (const { file, sha256 } of made === null ? [] : filesOfGraph(made))
      if (sha256Of(this.file(file)) !== sha256)
        throw new UserError(
          `${this.path}: its graph is damaged, ${file} is not what was written; all else is whole: build the graph anew, or search exactly`,
        );
  }

  /** Removes an index's files that the manifest does not name. */
  sweep(manifest: IndexManifest): void {
    const named = new Set(manifest.segments.flatMap(filesOf));
    const graph = graphOf(manifest.graph);
    for (const { file } of graph === null ? [] : filesOfGraph(graph)) named.add(file);
    for (const name of readdirSync(this.path))
      if ((isOwnFile(name) && !named.has(name)) || this.#isLeftOfLock(name))
        rmSync(this.file(name), { force: true });
  }

  /** What a writer wrote on its way to the lock and was killed over; a young one may be somebody's who is on that way now. */
  #isLeftOfLock(name: string): boolean {
    if (!(name.startsWith(`${LOCK}.`) && name.endsWith('.tmp'))) return false;
    const stats = statSync(this.file(name), { throwIfNoEntry: false });
    return stats !== undefined && Date.now() - stats.mtimeMs > 60_000;
  }
}

/** Of a file that cannot be read ''. */
function sha256Of(path: string): string {
  try {
    return sha256OfFile(path);
  } catch {
    return '';
  }
}

/** Names of the files of a segment. */
export function filesOf({ name, removed }: SegmentRecord): string[] {
  const files = ['rows', 'items', 'table'].map((kind) => `${name}.${kind}`);
  return removed === null ? files : [...files, removed.file];
}
