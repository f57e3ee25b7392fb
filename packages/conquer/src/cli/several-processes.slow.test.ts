import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
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

it('says what stands in the way of a process in one line', async () => {
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
