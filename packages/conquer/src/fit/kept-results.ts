import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '@conquer-dml/run';
import { cacheError } from '../cache-folder.js';

/** Results of trainings on the disk, each by all that it goes by: what was trained before an interruption is not trained again. */
export class KeptResults {
  constructor(private readonly folder: string) {}

  /** @param of plain data, everything that the result goes by @param make what is done where it is not there */
  async get<T>(of: object, make: () => Promise<T>): Promise<T> {
    const key = createHash('sha256').update(JSON.stringify(of)).digest('hex');
    const file = join(this.folder, `${key.slice(0, 32)}.json`);
    const known = existsSync(file) ? read<T>(file) : null;
    if (known !== null) return known.result;
    const result = await make();
    try {
      mkdirSync(this.folder, { recursive: true });
      writeFileAtomic(file, `${JSON.stringify({ result })}\n`);
    } catch (error) {
      throw cacheError('the result of a training', this.folder, error);
    }
    return result;
  }
}

/** What is damaged is made again. */
function read<T>(file: string): { result: T } | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { result: T };
  } catch {
    return null;
  }
}
