// A program in Python beside a bench that answers each line it is given with a line of JSON.
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PYTHON } from './sides.mjs';

/**
 * @param args the script, relative to this folder, and its arguments
 * @param needs what PYTHON has to have, for the message where it ends
 * @param threads that it computes on
 */
export function startPeer(args, needs, threads = 2) {
  const child = spawn(PYTHON, args, {
    cwd: dirname(fileURLToPath(import.meta.url)),
    env: { ...process.env, OMP_NUM_THREADS: String(threads), OMP_WAIT_POLICY: 'passive' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the peer ended: PYTHON has to have ${needs}`);
    return JSON.parse(value);
  };
  return {
    ready: answer,
    async ask(line) {
      child.stdin.write(`${line}\n`);
      return await answer();
    },
    end: () => child.stdin.end(),
  };
}
