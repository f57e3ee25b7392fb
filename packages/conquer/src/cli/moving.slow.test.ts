import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { openFolder } from '../datasets/folder.js';
import { mergeExperiments } from '../experiment/merge.js';
import { outcome, smallRun } from '../testing/small-run.js';
import { trainEmbedding } from '../train/train-embedding.js';

// Runs whose data, working folder or number of epochs is another one by now.

let folder: string;
const run = (args: string[], cwd = folder) => conquer(args, { folder: cwd });
const path = (name: string) => join(folder, 'runs', name);
const config = (name: string) => readFileSync(join(path(name), 'config.json'), 'utf8');
const copy = (from: string, to: string) => cpSync(path(from), path(to), { recursive: true });

beforeAll(async () => {
  folder = temporaryFolder();
  writeDiscs(folder);
  for (const epochs of ['2', '4']) {
    const trained = await run(['train', ...smallRun, '--epochs', epochs, '--name', `of-${epochs}`]);
    expect(trained.code, trained.stderr).toBe(0);
  }
});

describe('a run', () => {
  it('is evaluated and goes on from another working folder, by its name too', async () => {
    const elsewhere = join(folder, 'else', 'where');
    mkdirSync(elsewhere, { recursive: true });
    const here = await run(['eval', 'of-2', '--json']);
    const there = await run(['eval', '../../runs/of-2', '--json'], elsewhere);
    expect([here.code, there.code], there.stderr).toEqual([0, 0]);
    expect(JSON.parse(there.stdout).metrics).toEqual(JSON.parse(here.stdout).metrics);
    copy('of-2', 'from-elsewhere');
    const rest = await run(['train', '--resume', '../../runs/from-elsewhere', '--epochs', '4'], elsewhere);
    expect(rest.code, rest.stderr).toBe(0);
    expect(outcome(path('from-elsewhere'))).toEqual(outcome(path('of-4')));
  });

  it('goes on where its data set lies now, on what this machine has, to the same numbers', async () => {
    copy('of-2', 'moved');
    renameSync(join(folder, 'images'), join(folder, 'pictures'));
    try {
      const lost = await run(['eval', 'runs/moved']);
      expect([lost.code, lost.stderr]).toEqual([
        2,
        expect.stringMatching(/images is not there: give --dataset-dir/),
      ]);
      const now = ['--dataset-dir', 'pictures', '--device', 'cpu', '--threads', '1', '--cache', 'no'];
      const rest = await run([
        ...['train', '--resume', 'runs/moved', '--epochs', '4', '--on-bad-image', 'skip'],
        ...now,
      ]);
      expect(rest.code, rest.stderr).toBe(0);
      const [moved, stayed] = [outcome(path('moved')), outcome(path('of-4'))];
      expect(moved).toEqual(stayed);
      const [there, before] = [
        await run(['eval', 'runs/of-4', '--json', ...now, '--on-bad-image', 'skip']),
        await run(['eval', 'runs/moved', '--json']),
      ];
      expect([there.code, before.code], there.stderr + before.stderr).toEqual([0, 0]);
      expect(JSON.parse(there.stdout).metrics).toEqual(JSON.parse(before.stdout).metrics);
    } finally {
      renameSync(join(folder, 'pictures'), join(folder, 'images'));
    }
  });

  it('is not evaluated on other data: classes that it was trained on would be tested on', async () => {
    const other = join(folder, 'other');
    cpSync(join(folder, 'images'), other, { recursive: true });
    for (const name of ['a', 'b']) cpSync(join(other, 'class-00'), join(other, name), { recursive: true });
    const { code, stderr } = await run(['eval', 'runs/of-4', '--dataset-dir', 'other']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/2 classes came \(a, b\); 1 class moved \(class-07 from train to test\)/);
  });

  it('of an older version has relative paths, which are taken from the working folder, and said', async () => {
    copy('of-2', 'old');
    rmSync(join(path('old'), 'dataset.json'));
    const stored = JSON.parse(config('old'));
    writeFileSync(
      join(path('old'), 'config.json'),
      JSON.stringify(mergeExperiments(stored, { data: { dataset: { folder: 'images' } } })),
    );
    const found = await run(['eval', 'runs/old']);
    expect([found.code, found.stderr]).toEqual([0, expect.stringContaining('is taken to be')]);
    const lost = await run(['eval', '../runs/old'], join(folder, 'else'));
    expect([lost.code, lost.stderr]).toEqual([
      2,
      expect.stringMatching(/relative to a folder that it did not record.*give --dataset-dir/),
    ]);
  });

  it('has a name within the folder of runs', async () => {
    for (const name of ['../../x', '..', '.', 'a/../../x', '/x']) {
      const { code, stderr } = await run(['train', ...smallRun, '--name', name]);
      expect([code, stderr], name).toEqual([2, expect.stringContaining('--name: expected a name')]);
    }
  });
});

describe('a run of trainEmbedding()', () => {
  it('is evaluated, but does not go on from the command line', async () => {
    await trainEmbedding({
      dataset: await openFolder({ folder: join(folder, 'images') }),
      run: path('library'),
      arch: { name: 'small-resnet', widths: [4, 8] },
      embeddingDim: 8,
      numLearners: 1,
      epochs: 1,
      batchSize: 12,
      samplesPerClass: 3,
      imageSize: 16,
    });
    const before = config('library');
    for (const [flags, message] of [
      [[], /--dataset: is code of one's own \(images\).*call train\(\) with it/],
      [['--epochs', '2'], /--dataset: is code of one's own/],
      [['--epochs', '2', '--dataset-dir', 'images'], /--dataset-dir has no effect/],
    ] as const) {
      const { code, stderr } = await run(['train', '--resume', 'runs/library', ...flags]);
      expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    }
    expect(config('library')).toBe(before);
    const evaluated = await run(['eval', 'library', '--json']);
    expect(evaluated.code, evaluated.stderr).toBe(0);
    renameSync(join(folder, 'images'), join(folder, 'pictures'));
    try {
      const lost = await run(['eval', 'library']);
      expect([lost.code, lost.stderr]).toEqual([
        2,
        expect.stringMatching(/--dataset-dir: 64 of the 64 test images .* are not there/),
      ]);
      const moved = await run(['eval', 'library', '--json', '--dataset-dir', 'pictures']);
      expect(moved.code, moved.stderr).toBe(0);
      expect(JSON.parse(moved.stdout).metrics).toEqual(JSON.parse(evaluated.stdout).metrics);
    } finally {
      renameSync(join(folder, 'pictures'), join(folder, 'images'));
    }
  });
});

describe('more epochs than the schedule of the learning rates', () => {
  const rates = (name: string) =>
    RunFolder.open(path(name))
      .epochs()
      .flatMap(({ learningRates }) => learningRates?.backbone ?? []);

  it.each(['cosine', 'one-cycle'])('of %s are as chosen, in one go or interrupted', async (schedule) => {
    const base = `${schedule}-2`;
    const options = ['--epochs', '2', '--lr-schedule', schedule, '--name', base];
    expect((await run(['train', ...smallRun, ...options])).code).toBe(0);
    const refused = await run(['train', '--resume', `runs/${base}`, '--epochs', '4']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/--lr-after: .* restart/)]);
    const [first = 0, second = 0] = rates(base);
    const wanted = {
      restart: [first, second, first, second],
      hold: [first, second, second, second],
    };
    for (const after of ['restart', 'hold', 'stretch'] as const) {
      const [whole, cut] = [`${schedule}-${after}`, `${schedule}-${after}-cut`];
      copy(base, whole);
      copy(base, cut);
      const more = ['--epochs', '4', '--lr-after', after];
      const { code, stderr } = await run(['train', '--resume', `runs/${whole}`, ...more]);
      expect([code, stderr]).toEqual([0, expect.stringContaining('note: the learning rates')]);
      // Epochs have different numbers of steps, and rates are those of the last one; held ones are the same.
      if (after === 'hold') expect(rates(whole)).toEqual(wanted.hold);
      else if (after === 'restart')
        expect(rates(whole)).toEqual(wanted.restart.map((rate) => expect.closeTo(rate, 4)));
      else expect(rates(whole)[2]).toBeGreaterThan(second);
      expect(JSON.parse(config(whole))).toMatchObject({
        train: { epochs: 4 },
        optimize: { afterEnd: after },
      });
      // Stopped in the epochs that were added.
      const stopped = await conquer(['train', '--resume', `runs/${cut}`, ...more], {
        folder,
        onAnnounced: (child) => child.kill('SIGINT'),
      });
      expect(stopped.code).toBe(130);
      const rest = await run(['train', '--resume', `runs/${cut}`]);
      expect(rest.code, rest.stderr).toBe(0);
      expect(outcome(path(cut))).toEqual(outcome(path(whole)));
    }
  });
});
