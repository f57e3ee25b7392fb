import { join, sep } from 'node:path';

/** Whether a listed path leads to something inside the folder it is relative to, and is never outside on its way. */
export function isInside(listed: string): boolean {
  if (/^([/\\]|[a-z]:)/i.test(listed) || listed.includes('\0')) return false;
  let depth = 0;
  for (const part of listed.split(/[/\\]/)) {
    if (part === '..') depth--;
    else if (part !== '' && part !== '.') depth++;
    if (depth < 0) return false;
  }
  return depth > 0;
}

/**
 * A path by one relative to a folder; null where that is not `isInside`. To look at each part takes a second of a million.
 *
 * @param folder absolute, without . or .. in it
 */
export function pathInside(folder: string, listed: string): string | null {
  if (PLAIN.test(listed) && folder !== sep) return `${folder}${sep}${listed}`;
  return isInside(listed) ? join(folder, listed) : null;
}

/** Of no empty part and none that begins with a dot: there is nothing to be resolved. */
const PLAIN = /^[^/\\.:\0][^/\\:\0]*(?:\/[^/\\.:\0][^/\\:\0]*)*$/;
