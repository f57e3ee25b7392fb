import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program's file, for Node: as it is built of the sources, which is done before the tests begin. */
export const program = fileURLToPath(new URL('../../conquer/bin/conquer.js', import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Seconds. */
  took: number;
  /** Seconds since the line that announces the run. */
  worked: number;
}

export interface ProgramOptions {
  folder: string;
  /** A shell command that comes first, such as `ulimit -f 100`. */
  before?: string;
  /** Called with everything that was printed so far, whenever it became more. */
  onOutput?: (text: string, child: ChildProcess) => void;
  /** Called when the run has been announced. */
  onAnnounced?: (child: ChildProcess) => void;
  onStart?: (child: ChildProcess) => void;
}

/** Runs `conquer` in a folder until it ends; its cache is there too. */
export function conquer(args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const { folder, before, onOutput, onAnnounced, onStart } = options;
  const start = performance.now();
  const [command, ...rest] = before
    ? ['bash', '-c', `${before}; exec "$@"`, 'bash', process.execPath, program, ...args]
    : [process.execPath, program, ...args];
  const child = spawn(command!, rest, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CONQUER_CACHE: join(folder, 'cache') },
  });
  onStart?.(child);
  let [stdout, stderr] = ['', ''];
  let announced = 0;
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    onOutput?.(stderr, child);
    if (announced === 0 && stderr.includes('run folder')) {
      announced = performance.now();
      onAnnounced?.(child);
    }
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      const seconds = (since: number) => (performance.now() - since) / 1000;
      resolve({ code, signal, stdout, stderr, took: seconds(start), worked: seconds(announced) });
    }),
  );
}
