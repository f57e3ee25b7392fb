import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isSystemError, lockHolder, takeLock } from '@conquer-dml/run';
import type { HubName } from './hub-name.js';

export const COMMIT = /^[0-9a-f]{40}$/;

/** How often a process that waits for another's download looks again, in milliseconds. */
const LOOK_AGAIN = 200;

/**
 * A repository in the cache of Python's huggingface_hub: `blobs/ETAG` hold the files, `snapshots/COMMIT/NAME` are links to
 * them, `refs/REVISION` says the commit. What Python fetched is found here, and Python finds what is put here.
 *
 * Python's own lock (flock) cannot be taken from Node.js. It saves a second download and no more: on both sides a blob gets
 * its name when it is whole.
 */
export class HubCache {
  /** `models--owner--name` */
  readonly folder: string;
  private readonly locks: string;

  /** @param cache the folder of all repositories */
  constructor(cache: string, { repository }: Pick<HubName, 'repository'>) {
    const name = `models--${repository.replaceAll('/', '--')}`;
    this.folder = join(cache, name);
    this.locks = join(cache, '.locks', name);
  }

  /** The commit that a revision was when it was last looked up; null where it never was. */
  commitOf(revision: string): string | null {
    if (COMMIT.test(revision)) return revision;
    try {
      const commit = readFileSync(join(this.folder, 'refs', revision), 'utf8').trim();
      return COMMIT.test(commit) ? commit : null;
    } catch {
      return null;
    }
  }

  /** Notes which commit a revision is. */
  setCommit(revision: string, commit: string): void {
    if (revision === commit || this.commitOf(revision) === commit) return;
    const file = join(this.folder, 'refs', revision);
    mkdirSync(dirname(file), { recursive: true });
    inOneStep(file, (temporary) => writeFileSync(temporary, commit));
  }

  /** The folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The names of a commit's files that are there, whole. */
  filesOf(commit: string): string[] {
    const folder = this.snapshot(commit);
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    return names.map((name) => name.replaceAll('\\', '/')).filter((name) => this.has(commit, name));
  }

  /** Whether a commit's file is there: a link whose blob is gone does not count. */
  has(commit: string, name: string): boolean {
    return existsSync(join(this.snapshot(commit), name));
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  /** What a blob is called while it is fetched. No name of Python's, which are new ones each time. */
  part(etag: string): string {
    return `${this.blob(etag)}.conquer.incomplete`;
  }

  /** Gives a blob its name in a commit; where the system has no links, the blob itself goes there. */
  link(commit: string, name: string, etag: string): void {
    const file = join(this.snapshot(commit), name);
    mkdirSync(dirname(file), { recursive: true });
    try {
      inOneStep(file, (temporary) => symlinkSync(relative(dirname(file), this.blob(etag)), temporary));
    } catch (error) {
      if (!isSystemError(error) || !['EPERM', 'ENOSYS', 'ENOTSUP'].includes(error.code ?? '')) throw error;
      renameSync(this.blob(etag), file);
    }
  }

  /** Does something while no other process of this program does it for the same blob. */
  async alone<T>(etag: string, work: () => Promise<T>): Promise<T> {
    mkdirSync(this.locks, { recursive: true });
    const file = join(this.locks, `${etag}.conquer.lock`);
    const unlock = await taken(file);
    try {
      return await work();
    } finally {
      unlock();
    }
  }
}

async function taken(file: string): Promise<() => void> {
  for (let failures = 0; ; ) {
    while (lockHolder(file) !== null) await setTimeout(LOOK_AGAIN);
    try {
      return takeLock(file, 'a download');
    } catch (error) {
      // Another process was faster, and may be done again.
      if (lockHolder(file) === null && ++failures === 10) throw error;
    }
  }
}

/** Whoever reads the file finds the former one or the new one, whole. */
function inOneStep(file: string, write: (temporary: string) => void): void {
  const temporary = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    write(temporary);
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}
