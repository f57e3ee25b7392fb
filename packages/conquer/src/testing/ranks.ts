import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@conquer-dml/testing/free-port';
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
  const [file, port] = [await built, await freePort()];
  const folder = temporaryFolder();
  return await Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const place = { RANK: `${rank}`, WORLD_SIZE: `${size}`, MASTER_PORT: `${port}` };
      const env = { ...process.env, ...place, CONQUER_RANKED_SESSION: JSON.stringify(session) };
      const child = spawn(process.execPath, [file], { env, cwd: folder });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      return new Promise<RankedResult | null>((done, failed) =>
        child.on('close', (code, signal) => {
          if (signal === 'SIGKILL') done(null);
          else if (code === 0) done(JSON.parse(stdout) as RankedResult);
          else failed(new Error(`rank ${rank} ended with ${code}: ${stderr}`));
        }),
      );
    }),
  );
}
