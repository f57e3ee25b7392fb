import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { byCodePoint } from './code-point-order.js';

/**
 * The CSV file that somebody means by a path: it, or the only one in a folder.
 *
 * @param what takes it, for messages
 * @throws UserError where there is none, or not one only
 */
export async function csvFile(what: string, given: string): Promise<string> {
  const path = resolve(given);
  const found = await stat(path).catch(() => null);
  if (found === null)
    throw new UserError(`${what}: expected a CSV file or a folder with one, ${path} is not there`);
  if (!found.isDirectory()) return path;
  const files = (await readdir(path)).filter((name) => name.toLowerCase().endsWith('.csv')).sort(byCodePoint);
  if (files.length === 1) return join(path, files[0] as string);
  const listed = files.length === 0 ? 'none' : files.slice(0, 5).join(', ');
  throw new UserError(`${what}: expected one .csv file in ${path}, found ${listed}; give the file itself`);
}
