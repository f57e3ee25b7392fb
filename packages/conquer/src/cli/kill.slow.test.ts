import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer, type Ended } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
import { Random } from '../random.js';
import { outcome, smallRun } from '../testing/small-run.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { findRuns, readRun } from './runs.js';

// The program as it is installed, killed with SIGKILL at random moments. `npm run kill-test`
// kills 200 times, CONQUER_KILLS=n says how often.

const KILLS = Number(process.env.CONQUER_KILLS ?? 15);
const SEED = Number(process.env.CONQUER_KILL_SEED ?? 1);
let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeDiscs(folder);
});

interface Kill {
  after: 'onStart' | 'onAnnounced';
  milliseconds: number;
}

/** Runs the program; kills it so long after it started, or after it announced the run. */
async function runAndKill(args: string[], kill: Kill | null): Promise<Ended> {
  let timer: NodeJS.Timeout | undefined;
  const killLater = (child: ChildProcess) => {
    timer = setTimeout(() => child.kill('SIGKILL'), kill?.milliseconds);
  };
  return await conquer(args, { folder, ...(kill && { [kill.after]: killLater }) }).finally(() =>
    clearTimeout(timer),
  );
}

/** What a killed process leaves must be whole, or not be there under its own name. Returns where it was killed. */
function examine(path: string): string {
  if (!RunFolder.exists(path)) return 'before the run folder';
  const state = readRun(path);
  expect(findRuns([join(path, '..')])).toContainEqual({ run: path, named: false });
  const run = RunFolder.open(path);
  run.divisions();
  run.masks();
  run.steps();
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' });
  for (const name of files) {
    const file = join(path, name);
    if (name.startsWith('checkpoints') && name.endsWith('.safetensors') && !name.includes('.tmp'))
      disposeCheckpoint(loadCheckpoint(file));
    if (name.endsWith('.json')) JSON.parse(readFileSync(file, 'utf8'));
  }
  if (files.some((name) => name.endsWith('.tmp'))) return 'while a file was written';
  if (state.status === 'finished') return 'after the last epoch';
  const [epochs, divisions, steps] = [run.epochs(), run.divisions(), run.steps()];
  if (epochs.length === 0) return 'before the first evaluation ended';
  const last = epochs.at(-1)!.epoch;
  if (!existsSync(run.lastCheckpoint)) return last < 0 ? 'in the first epoch' : 'before the first checkpoint';
  const saved = loadCheckpoint(run.lastCheckpoint);
  disposeCheckpoint(saved);
  if (saved.state.epoch < last) return 'between the log and the checkpoint';
  if (divisions.at(-1)!.epoch <= last && last < 2) return 'while dividing';
  const step = steps.at(-1);
  return step && step.epoch > last && step.step === step.steps - 1 ? 'while evaluating' : 'while training';
}

it(
  `killed ${KILLS} times, runs go on and come to the same numbers, bit for bit`,
  async () => {
    const whole = await runAndKill(['train', ...smallRun, '--name', 'whole'], null);
    expect(whole.code, whole.stderr).toBe(0);
    const expected = outcome(join(folder, 'runs/whole'));
    expect(expected.epochs.map(({ numLearners }) => numLearners)).toEqual([undefined, 1, 2, 4, 4]);
    const random = new Random(SEED);
    const places = new Map<string, number>();
    let kills = 0;
    for (let chain = 0; kills < KILLS; chain++) {
      const name = `chain-${chain}`;
      const path = join(folder, 'runs', name);
      for (;;) {
        const args = RunFolder.exists(path)
          ? ['train', '--resume', `runs/${name}`]
          : ['train', ...smallRun, '--name', name];
        // Some while the program starts; most while it works, a little beyond the whole run's time too.
        const kill: Kill =
          random.int(8) === 0
            ? { after: 'onStart', milliseconds: random.int(2000) }
            : { after: 'onAnnounced', milliseconds: random.int(Math.ceil(1000 * whole.worked)) };
        // The cache of decoded images is made anew now and then, and killed in the making.
        if (random.int(6) === 0) rmSync(join(folder, 'cache'), { recursive: true, force: true });
        const ended = await runAndKill(args, kills < KILLS ? kill : null);
        if (ended.signal === null) {
          expect(ended.code, ended.stderr).toBe(0);
          break;
        }
        kills++;
        const place = examine(path);
        places.set(place, (places.get(place) ?? 0) + 1);
        // Killed between the last file and the exit: there is nothing to go on with.
        if (RunFolder.exists(path) && RunFolder.open(path).summary()?.status === 'finished') break;
      }
      expect(outcome(path), `chain ${chain}`).toEqual(expected);
    }
    const listed = [...places].map(([place, count]) => `${count} ${place}`);
    console.log(`${kills} kills: ${listed.join(', ')}`);
    const packs = readdirSync(join(folder, 'cache', 'packs'));
    console.log(
      `cache: ${packs.filter((file) => file.endsWith('.part')).length} unfinished packs left behind`,
    );
  },
  Math.max(600_000, KILLS * 20_000),
);
