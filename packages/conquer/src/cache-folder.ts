import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where conquer keeps what it can make again: `$CONQUER_CACHE`, or `conquer` in the user's cache folder
 * (`$XDG_CACHE_HOME`, by default `~/.cache`).
 */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.CONQUER_CACHE) return env.CONQUER_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'conquer');
}
