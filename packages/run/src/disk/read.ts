import { existsSync, readFileSync } from 'node:fs';
import { UserError } from '../error.js';

/** The object that a JSON file holds. @throws UserError for anything else */
export function readObject(file: string): object {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(
      code === 'ENOENT' ? `${file} is not there` : `${file} is damaged or cannot be read: ${message}`,
    );
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UserError(`${file} is damaged: expected an object, got ${JSON.stringify(value).slice(0, 40)}`);
}

/**
 * The records of a JSON-lines file; a last line that was cut off is left out, and a file that is not there has none.
 *
 * @param recordOf what JSON.parse gives of a line; null: no such record
 * @throws UserError that names the damaged line
 */
export function readLines<T>(file: string, recordOf: (value: unknown) => T | null): T[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.flatMap((line, i) => {
    try {
      const record = recordOf(JSON.parse(line));
      if (record !== null) return [record];
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      if (i === lines.length - 1) return [];
    }
    throw new UserError(`${file} is damaged in line ${i + 1}: restore it, or remove the line`);
  });
}
