import { spawn } from 'node:child_process';
import { freePort } from './free-port.js';

export interface RanksOptions {
  /** By rank, what the process is started with beside Node.js, given the port on which they meet. */
  argsOf: (rank: number, port: number) => string[];
  /** Of the environment beside RANK, WORLD_SIZE and MASTER_PORT. */
  env?: NodeJS.ProcessEnv;
  folder?: string;
  /** Milliseconds after which one that wrote just `stopped` is killed: one that stands still would stay. */
  killStoppedAfter?: number;
}

/** Starts processes that meet on this machine, each of which prints JSON. @returns it by rank; null of one that was killed */
export async function startRanks<T>(
  size: number,
  { argsOf, env = {}, folder, killStoppedAfter = 15_000 }: RanksOptions,
): Promise<(T | null)[]> {
  const port = await freePort();
  return await Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const place = { RANK: `${rank}`, WORLD_SIZE: `${size}`, MASTER_PORT: `${port}` };
      const child = spawn(process.execPath, argsOf(rank, port), {
        env: { ...process.env, ...place, ...env },
        cwd: folder,
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
        if (stdout === 'stopped') setTimeout(() => child.kill('SIGKILL'), killStoppedAfter);
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      return new Promise<T | null>((done, failed) =>
        child.on('close', (code, signal) => {
          if (signal === 'SIGKILL') done(null);
          else if (code === 0) done(JSON.parse(stdout) as T);
          else failed(new Error(`rank ${rank} ended with ${code}: ${stderr}`));
        }),
      );
    }),
  );
}
