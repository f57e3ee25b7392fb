import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RunFolder } from '@conquer-dml/run';

export interface TrialRequest {
  /** Of the experiment. */
  file: string;
  folder: string;
  name: string;
  /** Until how many epochs it has trained; Infinity: to its end, which is more than its last epoch. */
  epochs: number;
  plugins: readonly string[];
  signal: AbortSignal;
}

/**
 * Trains a trial in a process of its own, from where it is: to its end, or until so many epochs are trained.
 *
 * @returns what went wrong, in a line; null where nothing did. After `signal`, null: it goes on from its last step another time
 */
export async function runTrial(request: TrialRequest): Promise<string | null> {
  const { file, folder, name, epochs, plugins, signal } = request;
  const path = join(folder, name);
  const how = RunFolder.exists(path)
    ? ['--resume', path]
    : ['--experiment', file, '--runs-dir', folder, '--name', name];
  const own = plugins.flatMap((plugin) => ['--plugin', plugin]);
  // The program that this is. Of its own group: a Ctrl-C of the terminal comes here, and is told once.
  const child = spawn(process.execPath, [process.argv[1]!, 'train', ...how, ...own, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let enough = false;
  const stop = () => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { event, epoch } = eventOf(line);
    if (enough || event !== 'epoch' || epoch! + 1 < epochs) return;
    enough = true;
    stop();
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4000);
  });
  try {
    const code = await new Promise<number | null>((done, failed) => {
      child.on('error', failed);
      child.on('close', done);
    });
    if (code === 0 || enough || signal.aborted) return null;
    const line = said.split('\n').findLast((text) => text.startsWith('conquer: '));
    return line?.slice('conquer: '.length) ?? `its process ended with ${code ?? 'a signal'}`;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** What a line of --json says; a plugin may write others among them. */
function eventOf(line: string): { event?: string; epoch?: number } {
  try {
    return JSON.parse(line) ?? {};
  } catch {
    return {};
  }
}
