import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { freePort } from '@conquer-dml/testing/free-port';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { outcome, smallRun } from '../testing/small-run.js';

// The program as it is installed.

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeDiscs(folder);
});

const train = (name: string, ...more: string[]) => ['train', ...smallRun, '--name', name, ...more];
const losses = (name: string) =>
  RunFolder.open(join(folder, 'runs', name))
    .epochs()
    .flatMap(({ metricLoss }) => metricLoss ?? []);

/** The processes below one, by what they were started with. */
function processesBelow(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ').filter(Boolean).map(Number);
}

it('trains in two processes that it starts itself as in one, and prints once', async () => {
  // What each process draws for itself is left out.
  const alike = ['--augmentation', 'none', '--bn', 'frozen'];
  const one = await conquer(train('one', ...alike), { folder });
  const two = await conquer(train('two', ...alike, '--nproc', '2'), { folder });
  expect([one.code, two.code], two.stderr).toEqual([0, 0]);
  expect(two.stdout.match(/Retrieval and clustering/g)).toHaveLength(1);
  expect(two.stderr.match(/run folder runs\/two/g)).toHaveLength(1);
  const [ours, theirs] = [losses('two'), losses('one')];
  expect(ours).toHaveLength(4);
  for (const [epoch, loss] of ours.entries()) expect(Math.abs(loss - theirs[epoch]!)).toBeLessThan(1e-4);
  expect(existsSync(join(folder, 'runs', 'two', 'running.json'))).toBe(false);
});

it('evaluates in two processes as in one, a run or any model, and prints once', async () => {
  const trained = await conquer(train('evaluated'), { folder });
  expect(trained.code, trained.stderr).toBe(0);
  const dataset = ['--dataset', 'folder', '--dataset-dir', 'images'];
  for (const what of [
    [join('runs', 'evaluated'), '--tables', 'tables'],
    ['--model', join('runs', 'evaluated'), ...dataset],
  ]) {
    const evaluate = async (...more: string[]) => {
      const { code, stdout, stderr } = await conquer(['eval', ...what, ...more, '--json'], { folder });
      expect(code, stderr).toBe(0);
      expect(stdout.trim().split('\n')).toHaveLength(1);
      return (JSON.parse(stdout) as { metrics: Record<string, number> }).metrics;
    };
    const one = await evaluate('--threads', '1');
    const two = await evaluate('--threads', '1', '--nproc', '2');
    expect(Object.keys(two)).toEqual(Object.keys(one));
    expect(Object.keys(one)).toContain('MAP@R');
    for (const [name, value] of Object.entries(one)) expect(two[name], name).toBeCloseTo(value, 6);
  }
  const nowhere = await conquer(['eval', 'nowhere', '--nproc', '2'], { folder });
  expect(nowhere.code).toBe(2);
  expect(nowhere.stderr.trim().split('\n').at(-1)).toMatch(/^conquer: .*nowhere/);
});

it('ends within a minute where a process is lost, names it, and goes on', async () => {
  const whole = await conquer(train('whole', '--nproc', '2'), { folder });
  expect(whole.code, whole.stderr).toBe(0);
  let killed = 0;
  const lost = await conquer(train('lost', '--nproc', '2'), {
    folder,
    onOutput: (text, child) => {
      if (killed > 0 || !text.includes('epoch 2/4')) return;
      killed = performance.now();
      // The first is rank 0.
      process.kill(processesBelow(child.pid!)[1]!, 'SIGKILL');
    },
  });
  expect((performance.now() - killed) / 1000).toBeLessThan(60);
  expect(lost.code).toBe(2);
  expect(lost.stderr.trim().split('\n').at(-1)).toBe(
    'conquer: rank 1 of 2 was lost: its process ended; go on with: npx conquer train --resume runs/lost',
  );
  const resumed = await conquer(['train', '--resume', 'runs/lost', '--nproc', '2'], { folder });
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(outcome(join(folder, 'runs', 'lost'))).toEqual(outcome(join(folder, 'runs', 'whole')));
});

it('says of whom it waits, and ends at once by a signal, or when it is time', async () => {
  drawnRun(join(folder, 'waiting'), drawnExperiment());
  const port = await freePort();
  const env = (timeout: string) =>
    `export RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=${port} CONQUER_GROUP_TIMEOUT=${timeout}`;
  for (const args of [train('nobody'), ['index', 'waiting', 'images']]) {
    let stopped = 0;
    const ended = await conquer(args, {
      folder,
      before: env('900'),
      onOutput: (text, child) => {
        if (stopped > 0 || !text.includes('waits')) return;
        stopped = performance.now();
        child.kill('SIGINT');
      },
    });
    expect(performance.now() - stopped).toBeLessThan(5000);
    expect(ended.signal === 'SIGINT' || ended.code === 130, ended.stderr).toBe(true);
    expect(ended.stderr).toContain(
      `note: rank 1 of 2 waits at 127.0.0.1:${port} for rank 0 of 2, 900 s at most (CONQUER_GROUP_TIMEOUT sets it); Ctrl-C ends it\n`,
    );
    const late = await conquer(args, { folder, before: env('1.5') });
    expect(late.code).toBe(2);
    expect(late.stderr.trim().split('\n').at(-1)).toMatch(
      /^conquer: rank 1 of 2 did not meet the others at .*: nobody answers at .*: Connection refused$/,
    );
  }
});

const isThere = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

it('ends its processes where the one that started them is killed, and by signals as one process does', async () => {
  let below: number[] = [];
  const killed = await conquer(train('alone', '--epochs', '50', '--nproc', '2'), {
    folder,
    onOutput: (text, child) => {
      if (below.length > 0 || !text.includes('epoch  2/50')) return;
      below = processesBelow(child.pid!);
      child.kill('SIGKILL');
    },
  });
  expect(killed.signal).toBe('SIGKILL');
  expect(below).toHaveLength(2);
  await expect.poll(() => below.filter(isThere), { timeout: 60_000, interval: 200 }).toEqual([]);
  const stopped = await conquer(['index', join('runs', 'alone'), 'images', '--nproc', '2'], {
    folder,
    onStart: (child) => setTimeout(() => child.kill('SIGINT'), 1500),
  });
  expect(stopped.code, stopped.stderr).toBe(130);
  expect(stopped.stderr).not.toContain('rank');
});

it('says what stands in the way of a process in one line', async () => {
  const many = await conquer(train('many', '--nproc', '1000'), { folder });
  expect(many.code).toBe(2);
  expect(many.stderr).toMatch(
    /^conquer: --nproc: expected at most \d+ processes on the \d+ cores of this machine, got 1000$/m,
  );
});

it('says what stands in the way of one of the processes in one line', async () => {
  const missing = await conquer(['train', ...smallRun, '--dataset-dir', 'nowhere', '--nproc', '2'], {
    folder,
  });
  expect(missing.code).toBe(2);
  expect(missing.stderr.trim().split('\n').at(-1)).toMatch(/^conquer: .*nowhere/);
  const env = { RANK: '0', WORLD_SIZE: '2' };
  const before = Object.entries(env)
    .map(([name, value]) => `export ${name}=${value}`)
    .join('; ');
  const half = await conquer(train('half'), { folder, before });
  expect(half.code).toBe(2);
  expect(half.stderr).toBe('conquer: MASTER_ADDR: expected the machine of rank 0, got nothing\n');
  expect(execFileSync('ls', [join(folder, 'runs')], { encoding: 'utf8' })).not.toContain('half');
});

describe('an index', () => {
  /** Of an index, its files, without the names that are drawn. */
  const filesIn = (path: string) => {
    const drawn = /\b[0-9a-f]{16}\b/g;
    return Object.fromEntries(
      readdirSync(path)
        .sort()
        .map((name) => [
          name.replace(drawn, ''),
          name.endsWith('.json')
            ? readFileSync(join(path, name), 'utf8').replace(drawn, '')
            : readFileSync(join(path, name), 'base64'),
        ]),
    );
  };
  const index = (out: string, ...more: string[]) =>
    conquer(['index', 'runs/drawn', 'images', '--out', out, '--threads', '1', ...more], { folder });
  // Two batches of images, of which each process has one, and each meets one that cannot be read.
  const broken = ['class-03/3.svg', 'class-12/1.svg'];
  beforeAll(() => {
    drawnRun(join(folder, 'runs', 'drawn'), drawnExperiment());
    for (const name of broken) writeFileSync(join(folder, 'images', name), 'no image');
  });

  it('of two processes is that of one, byte for byte, and says once what is left out', async () => {
    const one = await index('one.index');
    const two = await index('two.index', '--nproc', '2');
    expect([one.code, two.code], two.stderr).toEqual([0, 0]);
    expect(filesIn(join(folder, 'two.index'))).toEqual(filesIn(join(folder, 'one.index')));
    const warnings = ({ stderr }: { stderr: string }) =>
      stderr.split(/[\r\n]+/).filter((line) => line.includes('warning'));
    expect(warnings(two)).toEqual(warnings(one));
    for (const name of broken) expect(two.stderr.split(name)).toHaveLength(one.stderr.split(name).length);
    // Nothing is left to embed.
    const again = await index('two.index', '--nproc', '2', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ images: 126, embedded: 0, leftOut: 2 });
  });

  it('ends in the words of one process where an image cannot be read', async () => {
    const fails = ['--on-bad-image', 'fail'];
    const one = await index('none.index', ...fails);
    const two = await index('none.index', ...fails, '--nproc', '2');
    const last = ({ code, stderr }: { code: number | null; stderr: string }) => [
      code,
      stderr
        .trim()
        .split(/[\r\n]+/)
        .at(-1),
    ];
    expect(last(two)).toEqual(last(one));
    expect(last(one)[1]).toMatch(/^conquer: cannot read the image .*class-03\/3\.svg/);
    expect(existsSync(join(folder, 'none.index'))).toBe(false);
  });

  it('says how to go on where a process is lost', async () => {
    writeDiscs(join(folder, 'many'), 140);
    const command = ['index', 'runs/drawn', 'many', '--out', 'lost.index', '--nproc', '2', '--json'];
    const partial = join(folder, 'lost.index.partial');
    const lost = await conquer(command, {
      folder,
      onStart: (child) => {
        const watch = setInterval(() => {
          if (!existsSync(partial) || !readdirSync(partial).some((name) => name.endsWith('.safetensors')))
            return;
          clearInterval(watch);
          process.kill(processesBelow(child.pid!)[1]!, 'SIGKILL');
        }, 2);
        child.once('exit', () => clearInterval(watch));
      },
    });
    expect(lost.code).toBe(2);
    expect(lost.stderr.trim().split('\n').at(-1)).toBe(
      'conquer: rank 1 of 2 was lost: its process ended; the same command goes on where it was',
    );
    const { code, stdout, stderr } = await conquer(command, { folder });
    expect(code, stderr).toBe(0);
    const { images, kept } = JSON.parse(stdout) as { images: number; kept: number };
    expect(images).toBe(16 * 140);
    expect(kept).toBeGreaterThanOrEqual(1024);
    expect(kept).toBeLessThan(images);
  });
});
