// `conquer serve` under load, beside `conquer embed` on the same images: images a second, how long an answer takes, how late /health
// is meanwhile, and whether memory grows. The clients are a process of their own, on the same machine.
// node bench/serve.mjs [--seconds 60] [--clients 16] [--photos 400]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine } from './command-line.mjs';
import { photoFolder } from './photos.mjs';

const CONQUER = join(import.meta.dirname, '../packages/conquer/bin/conquer.js');
const { values } = commandLine({
  seconds: { type: 'number', default: 60 },
  clients: { type: 'number', default: 16 },
  photos: { type: 'number', default: 400 },
});
const [seconds, clients, count] = [values.seconds, values.clients, values.photos];
const folder = await photoFolder(count);
const scratch = mkdtempSync(join(tmpdir(), 'conquer-serve-'));

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];

/** Seconds that `conquer` takes. */
async function timed(...args) {
  const start = performance.now();
  const child = spawn(process.execPath, [CONQUER, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`conquer ${args.join(' ')} ended with ${code}`);
  return (performance.now() - start) / 1000;
}

/** Images a second of `conquer embed`, without its start: what twice the images take longer. */
async function embedRate() {
  const few = join(scratch, 'few');

  mkdirSync(few);
  const names = readdirSync(folder);
  for (const name of names.slice(0, count / 2)) {
    try {
      linkSync(join(folder, name), join(few, name));
    } catch {
      copyFileSync(join(folder, name), join(few, name));
    }
  }
  const half = await timed('embed', few, '--out', join(scratch, 'few.npy'));
  const whole = await timed('embed', folder, '--out', join(scratch, 'all.npy'));
  return count / 2 / (whole - half);
}

function ask(agent, port, path, body) {
  const start = performance.now();
  return new Promise((done, failed) => {
    const headers = body ? { 'Content-Type': 'image/jpeg', 'Content-Length': body.length } : {};
    const sent = request({ agent, port, path, method: body ? 'POST' : 'GET', headers }, (response) => {
      response.resume();
      response.on('end', () =>
        done({ status: response.statusCode, milliseconds: performance.now() - start }),
      );
    });
    sent.on('error', failed);
    sent.end(body);
  });
}

const memoryOf = (pid) => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
};

try {
  const rate = await embedRate();
  await timed('index', folder, '--out', join(scratch, 'photos.index'));
  const service = spawn(process.execPath, [CONQUER, 'serve', join(scratch, 'photos.index'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  service.stdout.on('data', (chunk) => {
    text += chunk;
  });
  while (!/http:\/\/\S+/.test(text)) await once(service.stdout, 'data');
  const { port } = new URL(/http:\/\/\S+/.exec(text)[0]);
  const images = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  const agent = new Agent({ keepAlive: true });
  const late = [];
  const taken = [];
  const memory = [];
  const end = performance.now() + seconds * 1000;
  const client = async (first) => {
    for (let at = first; performance.now() < end; at += clients) {
      const { status, milliseconds } = await ask(agent, port, '/search?top=5', images[at % images.length]);
      if (status !== 200) throw new Error(`/search answered ${status}`);
      taken.push(milliseconds);
    }
  };
  const probe = async () => {
    while (performance.now() < end) {
      late.push((await ask(agent, port, '/health')).milliseconds);
      memory.push(memoryOf(service.pid));
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  await ask(agent, port, '/search', images[0]);
  await Promise.all([...Array.from({ length: clients }, (_, at) => client(at)), probe()]);
  service.kill('SIGTERM');
  const [code] = await once(service, 'exit');
  taken.sort((a, b) => a - b);
  late.sort((a, b) => a - b);
  const served = taken.length / seconds;
  const sixth = Math.floor(memory.length / 6);
  const mean = (some) => some.reduce((sum, value) => sum + value, 0) / some.length;
  console.log(
    `${cpus()[0].model}, ${cpus().length} cores; ${count} photographs of 500×375, ${clients} clients, ${seconds} s`,
  );
  console.log(`conquer embed        ${rate.toFixed(1)} images/s`);
  console.log(`conquer serve        ${served.toFixed(1)} images/s, ${(served / rate).toFixed(2)} of that`);
  console.log(
    `an answer            median ${quantile(taken, 0.5).toFixed(0)} ms, p99 ${quantile(taken, 0.99).toFixed(0)} ms (${(quantile(taken, 0.99) / quantile(taken, 0.5)).toFixed(2)} of the median)`,
  );
  console.log(
    `/health meanwhile    median ${quantile(late, 0.5).toFixed(1)} ms, p99 ${quantile(late, 0.99).toFixed(1)} ms`,
  );
  console.log(
    `memory               ${Array.from({ length: 6 }, (_, at) => mean(memory.slice(at * sixth, (at + 1) * sixth)).toFixed(0)).join(', ')} MiB in each sixth of the time; ended with ${code}`,
  );
} finally {
  rmSync(scratch, { recursive: true });
}
