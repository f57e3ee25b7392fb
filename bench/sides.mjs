// The two sides' processes: started, run by turns, ended.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { comparedEnvironment } from '../scripts/compared-libtorchs.mjs';
import { benchPython } from '../scripts/pypi-peers.mjs';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';
/** Of today's PyTorch: the benchmark's own environment, unless one is named. */
export const PYTHON_TODAY = process.env.PYTHON_TODAY ?? benchPython(ROOT);
const ENVIRONMENT = {
  ...process.env,
  ...comparedEnvironment(),
  OMP_NUM_THREADS: '2',
  OMP_WAIT_POLICY: 'passive',
};

/** A side's process: it answers `run` with a line of JSON. */
class Side {
  #child;
  #lines;
  #errors = '';
  #name;

  constructor(name, command, args, environment) {
    this.#name = name;
    const env = { ...ENVIRONMENT, ...environment };
    this.#child = spawn(command, args, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => {
      this.#errors += error.message;
    });
    this.#child.stdin.on('error', () => {}); // it died: the next answer says so
    this.#child.stderr.setEncoding('utf8').on('data', (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-4000);
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async #answer(key) {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) {
        const last = this.#errors.trim().split('\n').slice(-6).join('\n    ');
        throw new Error(`${this.#name} ended${last ? `:\n    ${last}` : ' without a word'}`);
      }
      if (!value.startsWith('{')) continue;
      const answer = JSON.parse(value);
      if (key in answer) return answer;
    }
  }

  /** Starts a side and waits until it is prepared. */
  static async start(name, command, args, environment = {}) {
    const side = new Side(name, command, args, environment);
    await side.#answer('ready');
    return side;
  }

  /** @param key what the answer holds: `seconds` of a side */
  async run(key = 'seconds') {
    this.#child.stdin.write('run\n');
    return this.#answer(key);
  }

  async end() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((done) => this.#child.once('close', done));
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
  }
}

export function startOurs(name, args) {
  return startFile(process.execPath, join(ROOT, 'bench/ours', `${name}.mjs`), args);
}

/** @param {{ python?: string, environment?: Record<string, string> }} [on] what it runs on, other than the system's */
export function startPeer(name, args, { python = PYTHON, environment } = {}) {
  return startFile(python, join(ROOT, 'bench/peers', `${name}.py`), args, environment);
}

/** One of ours in a network of its own (`ip netns`). */
export function startOursIn(network, name, args) {
  const inside = ['netns', 'exec', network, process.execPath];
  return startFile('ip', join(ROOT, 'bench/ours', `${name}.mjs`), args, undefined, inside);
}

function startFile(command, file, args, environment, before = []) {
  const name = relative(ROOT, file);
  if (!existsSync(file)) throw new Error(`${name} does not exist`);
  return Side.start(name, command, [...before, file, ...args], environment);
}

/** Of the times of a side's runs. */
export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
