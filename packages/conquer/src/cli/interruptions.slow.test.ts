import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { canMount } from '@conquer-dml/testing/can-mount';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer, type Ended, type ProgramOptions } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { readTestedImages } from '../data/tested-images.js';
import { outcome, smallRun } from '../testing/small-run.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';

let folder: string;
let expected: ReturnType<typeof outcome>;
beforeAll(async () => {
  folder = temporaryFolder();
  writeDiscs(folder);
  const { code, stderr } = await run('whole');
  expect(code, stderr).toBe(0);
  expected = outcome(at('whole'));
}, 120_000);

// An epoch takes 30 ms: with as many as these, what a test does after a line was printed is not too late.
const several = ['--epochs', '20'];
const at = (name: string) => join(folder, 'runs', name);
const run = (name: string, options: Partial<ProgramOptions> = {}, ...more: string[]) =>
  conquer(['train', ...smallRun, ...several, '--name', name, ...more], { folder, ...options });
const resume = (name: string, options: Partial<ProgramOptions> = {}) =>
  conquer(['train', '--resume', `runs/${name}`], { folder, ...options });

/** One line for a person, code 2, no stack. */
function expectMistake({ code, stderr }: Ended, message: RegExp): void {
  const errors = stderr.split('\n').filter((line) => line.startsWith('conquer: '));
  expect([code, errors.length], stderr).toEqual([2, 1]);
  expect(errors[0]).toMatch(message);
  expect(stderr).not.toMatch(/\n {4}at /);
}

/** Whatever has its final name is whole. */
function expectWhole(path: string): void {
  for (const name of readdirSync(join(path, 'checkpoints')).filter((file) => file.endsWith('.safetensors')))
    disposeCheckpoint(loadCheckpoint(join(path, 'checkpoints', name)));
  const left = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.tmp'),
  );
  expect(left).toEqual([]);
}

describe('SIGINT and SIGTERM', () => {
  const moments: [string, RegExp][] = [
    ['while the first evaluation is under way', /run folder/],
    ['in the first epoch', /untrained/],
    ['after a division', /divided into 2 clusters/],
    ['between epochs', /epoch +2\/20/],
    ['with the whole embedding', /whole embedding/],
  ];
  it.each(moments)(
    '%s: the step is finished and saved, and the run goes on from it',
    async (name, moment) => {
      for (const [signal, code] of [
        ['SIGINT', 130],
        ['SIGTERM', 143],
      ] as const) {
        const id = `${signal}-${name.replaceAll(' ', '-')}`;
        let sent = 0;
        const ended = await run(id, {
          onOutput: (text, child) => {
            if (sent > 0 || !moment.test(text)) return;
            sent = performance.now();
            child.kill(signal);
          },
        });
        expect([ended.code, ended.stderr]).toEqual([code, expect.stringContaining(`--resume runs/${id}`)]);
        expect(performance.now() - sent).toBeLessThan(5000);
        expectWhole(at(id));
        expect(existsSync(join(at(id), 'running.json'))).toBe(false);
        const rest = await resume(id);
        expect(rest.code, rest.stderr).toBe(0);
        expect(outcome(at(id))).toEqual(expected);
      }
    },
  );

  it('while images are decoded for the cache: nothing is left, and nothing was begun', async () => {
    const place = temporaryFolder();
    writeDiscs(place, 400);
    let sent = 0;
    const ended = await conquer(['train', ...smallRun, '--name', 'decoding', '--resize', '200'], {
      folder: place,
      onOutput: (text, child) => {
        if (sent > 0 || !text.includes('decoding')) return;
        sent = performance.now();
        setTimeout(() => child.kill('SIGINT'), 100);
      },
    });
    expect(ended.code, ended.stderr).toBe(130);
    expect(ended.stderr).not.toContain('run folder');
    expect(performance.now() - sent).toBeLessThan(5000);
    // The signal may come before there is a folder for packs.
    const packs = join(place, 'cache', 'packs');
    expect(existsSync(packs) ? readdirSync(packs) : []).toEqual([]);
    expect(existsSync(join(place, 'runs', 'decoding'))).toBe(false);
  });

  it('the second one ends the process at once', async () => {
    let sent = 0;
    let again = false;
    const ended = await run(
      'twice',
      {
        onOutput: (text, child) => {
          if (sent === 0 && /epoch +1\//.test(text)) {
            sent = performance.now();
            child.kill('SIGTERM');
          } else if (!again && text.includes('stopping after this step')) {
            again = true;
            child.kill('SIGTERM');
          }
        },
      },
      '--epochs',
      '400',
    );
    // By its own exit, or, where it was about to end, by the signal: 143 to a shell in either case.
    expect([143, 'SIGTERM'], ended.stderr).toContain(ended.code ?? ended.signal);
    expect(performance.now() - sent).toBeLessThan(2000);
    const rest = await resume('twice', { onAnnounced: (child) => child.kill('SIGINT') });
    expect(rest.code, rest.stderr).toBe(130);
  });
});

describe('the disk', () => {
  /** A disk of its own in memory, where this user may make one. */
  const mounts = canMount();
  if (!mounts) process.stderr.write('SKIPPED: full and read-only disks: only root can mount one\n');
  const mount = (options: string) =>
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', join(folder, 'disk')]);
  const onDisk = (name: string, options: Partial<ProgramOptions> = {}) =>
    run(name, options, '--runs-dir', 'disk');

  it.runIf(mounts).each([16, 120, 300, 420, 600])('full after %d KB', async (size) => {
    mkdirSync(join(folder, 'disk'), { recursive: true });
    mount(`size=${size}k`);
    try {
      expectMistake(await onDisk('full'), /(cannot be written).*(full|no space)/);
      const path = join(folder, 'disk', 'full');
      if (existsSync(join(path, 'config.json'))) {
        expectWhole(path);
        execFileSync('mount', ['-o', 'remount,size=50m', join(folder, 'disk')]);
        const rest = await conquer(['train', '--resume', 'disk/full'], { folder });
        expect(rest.code, rest.stderr).toBe(0);
        expect(outcome(path)).toEqual(expected);
      }
    } finally {
      execFileSync('umount', [join(folder, 'disk')]);
    }
  });

  it.runIf(mounts)('read-only, from the start and under way', async () => {
    mkdirSync(join(folder, 'disk'), { recursive: true });
    mount('size=50m,ro');
    // Busy while the run has a file open for writing.
    const again = 'for i in $(seq 200); do mount -o "$1" "$2" && exit 0; sleep 0.01; done; exit 1';
    const remount = (mode: string) =>
      execFileSync('bash', ['-c', again, 'bash', `remount,${mode}`, join(folder, 'disk')], {
        stdio: 'ignore',
      });
    try {
      expectMistake(await onDisk('ro'), /the run folder disk\/ro cannot be written|read-only/);
      remount('rw');
      let done = false;
      const ended = await onDisk('under-way', {
        onOutput: (text) => {
          if (done || !/epoch +2\/20/.test(text)) return;
          done = true;
          remount('ro');
        },
      });
      expectMistake(ended, /read-only/);
      remount('rw');
      const rest = await conquer(['train', '--resume', 'disk/under-way'], { folder });
      expect(rest.code, rest.stderr).toBe(0);
      expect(outcome(join(folder, 'disk/under-way'))).toEqual(expected);
    } finally {
      execFileSync('umount', [join(folder, 'disk')]);
    }
  });

  it.each([1, 30, 100])('files of more than %d KB refused', async (kilobytes) => {
    const name = `limited-${kilobytes}`;
    expectMistake(await run(name, { before: `ulimit -f ${kilobytes}` }), /cannot be written.*(large|limit)/i);
    if (!existsSync(join(at(name), 'config.json'))) return;
    expectWhole(at(name));
    const rest = await resume(name);
    expect(rest.code, rest.stderr).toBe(0);
    expect(outcome(at(name))).toEqual(expected);
  });

  it('the run folder deleted under way', async () => {
    let done = false;
    const ended = await run('deleted', {
      onOutput: (text) => {
        if (done || !/epoch +1\/20/.test(text)) return;
        done = true;
        // Away at once: removing it file by file can meet one that the run writes meanwhile.
        renameSync(at('deleted'), join(folder, 'trash'));
      },
    });
    expectMistake(ended, /cannot be written: .*(gone|no such file)/);
    expect(existsSync(at('deleted'))).toBe(false);
  });

  it('two processes on one run: the second is refused, with the first’s number and start', async () => {
    let seconds: Promise<Ended[]> = Promise.resolve([]);
    let pid = 0;
    const onAnnounced: ProgramOptions['onAnnounced'] = (child) => {
      pid = child.pid ?? 0;
      seconds = Promise.all([run('shared'), resume('shared')]).finally(() => child.kill('SIGTERM'));
    };
    const first = await run('shared', { onAnnounced }, '--epochs', '4000');
    expect(first.code, first.stderr).toBe(143);
    const refused = await seconds;
    expect(refused).toHaveLength(2);
    for (const ended of refused)
      expectMistake(ended, new RegExp(`is being trained by process ${pid} since 20\\d\\d-.*T`));
  });
});

describe('--on-bad-image skip', () => {
  it.each(['yes', 'no'])(
    'cache %s: a run with bad images, resumed, is as if it was never stopped',
    async (cache) => {
      const place = temporaryFolder();
      writeDiscs(place);
      // One image of a training class, one of a test class.
      for (const label of ['02', '12'])
        writeFileSync(join(place, 'images', `class-${label}`, '3.svg'), '<svg');
      const skip = ['--on-bad-image', 'skip', '--cache', cache];
      const begin = (name: string, options: Partial<ProgramOptions> = {}) =>
        conquer(['train', ...smallRun, ...several, ...skip, '--name', name], { folder: place, ...options });
      const whole = await begin('whole');
      expect(whole.code, whole.stderr).toBe(0);
      const told = whole.stderr.split('\n').filter((line) => line.includes('bad image'));
      expect(told).toEqual([
        expect.stringMatching(/bad image 1 of at most 6: cannot read the image .*class-02\/3\.svg: /),
        expect.stringMatching(/bad image 2 of at most 6: cannot read the image .*class-12\/3\.svg: /),
      ]);
      let sent = false;
      const stopped = await begin('stopped', {
        onOutput: (text, child) => {
          if (sent || !/epoch +2\/20/.test(text)) return;
          sent = true;
          child.kill('SIGINT');
        },
      });
      expect(stopped.code, stopped.stderr).toBe(130);
      const rest = await conquer(['train', '--resume', 'runs/stopped'], { folder: place });
      expect(rest.code, rest.stderr).toBe(0);
      expect(outcome(join(place, 'runs', 'stopped'))).toEqual(outcome(join(place, 'runs', 'whole')));
      // No metric has the bad test image, nor has what is kept to be looked at.
      const { queries, embeddings, dim } = await readTestedImages(
        RunFolder.open(join(place, 'runs', 'whole')),
      );
      expect(queries.paths).toHaveLength(8 * 8 - 1);
      expect(embeddings).toHaveLength(queries.paths.length * dim);
      expect(queries.paths.filter((path) => path.endsWith('class-12/3.svg'))).toEqual([]);
    },
  );
});
