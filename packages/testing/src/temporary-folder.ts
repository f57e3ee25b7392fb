import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made: string[] = [];

/** An empty folder, which goes with all that is in it when the tests of the file have ended (remove-temporary-folders.ts). */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-test-'));
  made.push(folder);
  return folder;
}

export function removeTemporaryFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}
