import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { writeProblem } from './disk/write.js';
import { isSystemError, UserError } from './error.js';

/** running.json: the process that trains the run; the file goes when it ends. */
export interface RunningProcess {
  pid: number;
  /** ISO 8601. */
  since: string;
  /** When the process began, in the kernel's own count: numbers of processes come again. Where /proc tells it. */
  started?: string;
}

/** When a process began, in clock ticks since the machine did; undefined where /proc does not say. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Field 22; the second one, the program's name in parentheses, may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive({ pid, started }: RunningProcess): boolean {
  try {
    process.kill(pid, 0); // throws unless the process lives
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return started === undefined || startOf(pid) === undefined || startOf(pid) === started;
}

/** The living process that a lock file names, or null: none, a dead one, or half a file. */
export function lockHolder(file: string): RunningProcess | null {
  if (!existsSync(file)) return null;
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as RunningProcess;
    return isAlive(holder) ? holder : null;
  } catch {
    return null;
  }
}

/**
 * @param doing what the process that has it does, in words
 * @throws UserError when a living process has it
 */
export function refuseIfRunning(file: string, name: string, doing = 'is being trained'): void {
  const holder = lockHolder(file);
  if (holder === null) return;
  throw new UserError(
    `${name} ${doing} by process ${holder.pid} since ${holder.since}: wait for it, or choose another name`,
  );
}

/**
 * Takes a lock for this process; the returned function gives it back. Of several processes one gets it. What a killed
 * process left behind is taken over.
 *
 * @param doing what a process that has it does, in words; default that it trains
 * @throws UserError when a living process has it, or nothing can be written there
 */
export function takeLock(file: string, run: string, doing?: string): () => void {
  try {
    return taken(file, run, doing);
  } catch (error) {
    throw isSystemError(error) ? writeProblem(file, error) : error;
  }
}

function taken(file: string, run: string, doing?: string): () => void {
  const started = startOf(process.pid);
  const own: RunningProcess = {
    pid: process.pid,
    since: new Date().toISOString(),
    ...(started !== undefined && { started }),
  };
  const mine = `${file}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    writeFileSync(mine, JSON.stringify(own));
    // A link to a whole file: the lock never exists half-written, and only one process can make it.
    for (let attempt = 0; !linked(mine, file); attempt++) {
      refuseIfRunning(file, run, doing);
      if (attempt === 100) throw new UserError(`${file} cannot be taken: remove it if nobody uses ${run}`);
      // Moved first, not removed: of two that find it stale, one gets it.
      const stale = `${file}.${randomBytes(4).toString('hex')}.tmp`;
      try {
        renameSync(file, stale);
        const moved = lockHolder(stale);
        if (moved !== null) linked(stale, file); // another process had taken it in between: give it back
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      } finally {
        rmSync(stale, { force: true });
      }
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return () => {
    try {
      rmSync(file, { force: true });
    } catch {
      // A disk that can no longer be written: the lock of a process that is gone is taken over.
    }
  };
}

/** False where the name is taken. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Some file systems have no links: there, and only there, two processes may race.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    if (existsSync(to)) return false;
    renameSync(from, to);
    return true;
  }
}
