import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { availableParallelism, constants } from 'node:os';
import { UserError } from '@conquer-dml/run';
import type { GroupPlace } from '@conquer-dml/torch';
import { Option } from 'commander';
import { groupPlace, STARTER } from './group-place.js';
import { wholeNumberOf } from './whole-number.js';

/** Milliseconds in which a process ends by itself once another has failed: it hears of it in its next exchange. */
const GRACE = 45_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Processes that are started at most: more of them on a core take memory and bring nothing. */
const MOST = Math.max(8, 4 * availableParallelism());

/** @param what it does, 'train' */
export const nprocOption = (what: string): Option =>
  new Option('--nproc <n>', `${what} in so many processes of this machine`).argParser((text) =>
    wholeNumberOf('--nproc', text, { most: 1024 }),
  );

/** A port of this machine that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Does a command's work, as one of several processes where it was started as such; else, of a `count` above 1, in as many processes of
 * this machine, which do it.
 *
 * @param work given the process's place among them; null: it is alone
 * @throws UserError where a process fails that could not say so itself, or for far more processes than cores
 */
export async function inProcesses(
  count: number | undefined,
  work: (place: GroupPlace | null) => Promise<void>,
): Promise<void> {
  const place = groupPlace(process.env);
  await (place === null && count !== undefined && count > 1 ? launch(count) : work(place));
}

/**
 * Runs this very command in `count` processes of this machine that work together, as torchrun would. Rank 0 prints; signals
 * go to all. Ends the program as rank 0 ends.
 */
async function launch(count: number): Promise<void> {
  if (count > MOST)
    throw new UserError(
      `--nproc: expected at most ${MOST} processes on the ${availableParallelism()} cores of this machine, got ${count}`,
    );
  const port = await freePort();
  const threads = Math.max(1, Math.floor(availableParallelism() / count));
  const children = Array.from({ length: count }, (_, rank) =>
    spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      env: {
        OMP_NUM_THREADS: `${threads}`,
        ...process.env,
        RANK: `${rank}`,
        LOCAL_RANK: `${rank}`,
        WORLD_SIZE: `${count}`,
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: `${port}`,
        [STARTER]: `${process.pid}`,
      },
      stdio: rank === 0 ? 'inherit' : ['ignore', 'ignore', 'pipe'],
      // A terminal's signals come here alone, and reach each of them once.
      detached: true,
    }),
  );
  const words = children.map(() => '');
  for (const [rank, child] of children.entries()) {
    child.stderr?.on('data', (chunk) => {
      words[rank] = `${words[rank]}${chunk}`.slice(-2000);
    });
  }
  let isSecond = false;
  let asked: NodeJS.Signals | null = null;
  const forward = (name: NodeJS.Signals) => {
    asked = name;
    // One that waits for another in an exchange cannot end itself.
    for (const child of children) child.kill(isSecond && name !== 'SIGHUP' ? 'SIGKILL' : name);
    isSecond = true;
  };
  for (const name of SIGNALS) process.on(name, forward);
  try {
    const ended = children.map(endOf);
    await Promise.race([Promise.all(ended), firstFailure(ended)]);
    const timer = setTimeout(() => {
      for (const child of children) child.kill('SIGKILL');
    }, GRACE);
    const failure = await firstFailure(ended);
    const [first] = await Promise.all(ended);
    clearTimeout(timer);
    // As a process alone ends by a signal.
    process.exitCode = first!.code ?? (asked === null ? 1 : 128 + constants.signals[asked]);
    if (failure === null || first!.code !== null || asked !== null) return;
    const { rank, how } = failure;
    throw new UserError(`rank ${rank} of ${count} ${how}: ${words[rank]!.trim() || 'it said nothing'}`);
  } finally {
    for (const name of SIGNALS) process.off(name, forward);
  }
}

interface End {
  rank: number;
  code: number | null;
  /** In words; null: as it should. */
  how: string | null;
}

async function endOf(child: ChildProcess, rank: number): Promise<End> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  const how = signal ? `was ended by ${signal}` : code === 0 ? null : `ended with ${code}`;
  return { rank, code, how };
}

/** The first to fail; null once all have ended well. */
async function firstFailure(ended: Promise<End>[]): Promise<{ rank: number; how: string } | null> {
  const all = Promise.all(ended).then(() => null);
  const failing = ended.map(async (end) => {
    const { rank, how } = await end;
    return how === null ? await all : { rank, how };
  });
  return await Promise.race(failing);
}
