import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startRanks } from '@conquer-dml/testing/ranks';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { rolldown } from 'rolldown';
import type { RankedResult, RankedSession } from './rank-of-session.js';

let built: Promise<string> | null = null;

/** `rank-of-session.ts` as a program, which Node can start. */
async function program(): Promise<string> {
  const input = fileURLToPath(new URL('./rank-of-session.ts', import.meta.url));
  const bundle = await rolldown({
    input,
    platform: 'node',
    external: (id) => !/^([./]|@oxc-project)/.test(id),
    resolve: { extensionAlias: { '.js': ['.ts'] } },
    // Node.js 20 knows no `using`.
    transform: { target: 'es2022' },
  });
  // Below the packages, whose modules it imports.
  const file = join(fileURLToPath(new URL('../../dist', import.meta.url)), 'testing', 'rank-of-session.mjs');
  await bundle.write({ file, format: 'esm', keepNames: true });
  await bundle.close();
  return file;
}

/** Trains a session in so many processes. @returns their results by rank; null of one that was killed */
export async function inRanks(size: number, session: RankedSession): Promise<(RankedResult | null)[]> {
  built ??= program();
  const file = await built;
  const env = { CONQUER_RANKED_SESSION: JSON.stringify(session) };
  return await startRanks<RankedResult>(size, { argsOf: () => [file], env, folder: temporaryFolder() });
}
