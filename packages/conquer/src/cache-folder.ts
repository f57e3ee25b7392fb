import { homedir } from 'node:os';
import { join } from 'node:path';
import { isSystemError, UserError } from '@conquer-dml/run';

/**
 * Where conquer keeps what it can make again: `$CONQUER_CACHE`, or `conquer` in the user's cache folder
 * (`$XDG_CACHE_HOME`, by default `~/.cache`).
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.CONQUER_CACHE) return env.CONQUER_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'conquer');
}

/**
 * What to throw where something could not be put there.
 * @param what in words @param where the file or folder
 * @returns a UserError with the system's reason and what can be done; an error that is not the system's as it is
 */
export function cacheError(what: string, where: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new UserError(
    `${what} cannot be kept in ${where} (${error.message}): make room there, or name a folder elsewhere by the environment variable CONQUER_CACHE`,
  );
}
