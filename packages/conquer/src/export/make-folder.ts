import { mkdirSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';

/** Makes a folder, and those above it. @throws UserError where it cannot be made */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UserError(`${path} cannot be made: ${(error as Error).message.split(',')[0]}`);
  }
}
