import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';

// An experiment as a file, and parts from a file, through the program as it is installed.

const folder = temporaryFolder();
beforeAll(() => writeDiscs(folder));
const run = (...args: string[]) => conquer(args, { folder });

const small =
  '--dataset folder --dataset-dir images --arch small-resnet --widths 4,8 --image-size 16 --resize 20 --embedding-dim 8 ' +
  '--num-learners 2 --mod-epoch 1 --divide-from 0 --batch-size 12 --samples-per-class 3 --threads 1 --epochs 1';
const words = small.split(' ');

/** One line for a person, and code 2. */
async function expectMistake(args: string[], message: RegExp) {
  const { code, stderr, stdout } = await run(...args);
  expect([code, stdout], stderr).toEqual([2, '']);
  expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(message)]);
}

const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
const write = (file: string, value: unknown) => writeFileSync(join(folder, file), JSON.stringify(value));

describe('--print-experiment', () => {
  it('prints what --experiment takes, as does config.json of a run', async () => {
    const asked = [...words, '--loss', 'triplet', '--margin', '0.3', '--tensorboard', '--lr', '0.002'];
    const printed = await run('train', ...asked, '--print-experiment');
    expect([printed.code, printed.stderr]).toEqual([0, '']);
    const experiment = JSON.parse(printed.stdout);
    expect(experiment).toMatchObject({
      data: { dataset: { name: 'folder', folder: join(folder, 'images') } },
      loss: { name: 'triplet', margin: 0.3 },
      optimize: { learningRate: 0.002 },
      track: [{ name: 'tensorboard' }],
    });
    writeFileSync(join(folder, 'mine.json'), printed.stdout);
    const again = await run('train', '--experiment', 'mine.json', '--print-experiment');
    expect(again.stdout).toBe(printed.stdout);

    const trained = await run('train', '--experiment', 'mine.json', '--name', 'mine');
    expect(trained.code, trained.stderr).toBe(0);
    const { format, ...stored } = read('runs/mine/config.json');
    expect([format, stored]).toEqual([3, experiment]);
    const third = await run('train', '--experiment', 'runs/mine/config.json', '--print-experiment');
    expect(third.stdout).toBe(printed.stdout);
    const changed = await run(
      'train',
      '--recipe',
      'runs/mine/config.json',
      '--epochs',
      '7',
      '--print-experiment',
    );
    expect(JSON.parse(changed.stdout)).toEqual({ ...experiment, train: { ...experiment.train, epochs: 7 } });
  });

  it('of a config.json of before is the experiment that it is', async () => {
    const runs = fileURLToPath(new URL('../../test/fixtures/runs/', import.meta.url));
    for (const name of ['margin', 'arcface']) {
      const file = join(folder, `${name}.json`);
      cpSync(join(runs, name, 'config.json'), file);
      const { code, stdout, stderr } = await run('train', '--experiment', file, '--print-experiment');
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ loss: { name }, model: { embeddingDim: 8 } });
    }
  });
});

describe('an experiment in a file that is wrong', () => {
  it.each<[unknown, RegExp]>([
    [
      { train: { epohcs: 3 } },
      /^conquer: train\.epohcs: unknown option \(did you mean epochs\?\); expected epochs, /,
    ],
    [{ losss: {} }, /^conquer: losss: unknown option \(did you mean loss\?\)/],
    [{ loss: { name: 'margn' } }, /^conquer: --loss: expected one of margin, .*\(did you mean margin\?\)$/],
    [
      { loss: { name: 'triplet', margin: 'x' } },
      /^conquer: --margin: expected a number of at least 0, got "x"$/,
    ],
    [{ data: { cache: 'maybe' } }, /^conquer: --cache: expected yes or no, got "maybe"$/],
    [{ format: 99 }, /wrong\.json has the format 99, of a newer version/],
    [[1], /wrong\.json is no object/],
  ])('%j', async (contents, message) => {
    write('wrong.json', contents);
    await expectMistake(['train', '--experiment', 'wrong.json', '--print-experiment'], message);
  });

  it('or is not there, or is two', async () => {
    await expectMistake(['train', '--experiment', 'gone.json'], /the experiment gone\.json cannot be read: /);
    await expectMistake(
      ['train', '--experiment', 'a.json', '--recipe', 'demo'],
      /--recipe and --experiment exclude/,
    );
  });
});

describe('--plugin', () => {
  const conquerPackage = new URL('../../dist/bundle/index.js', import.meta.url).href;
  const zod = fileURLToPath(import.meta.resolve('zod'));
  const plugin = ['--plugin', './my-loss.mjs'];
  beforeAll(() =>
    writeFileSync(
      join(folder, 'my-loss.mjs'),
      `import { part, TripletAllLoss } from ${JSON.stringify(conquerPackage)};
       import { z } from ${JSON.stringify(zod)};
       const options = z.strictObject({ weight: z.number().min(0).default(2).describe('how much farther, in tenths') });
       const help = 'all triplets, mine';
       export const losses = [
         part({ name: 'mine', help, options, build: ({ weight }) => new TripletAllLoss({ margin: weight / 10 }) }),
       ];`,
    ),
  );

  it("has its options in --help, in the run's config.json, and in the run that goes on and is evaluated", async () => {
    const help = await run('train', ...plugin, '--help', 'loss');
    expect(help.code, help.stderr).toBe(0);
    expect(help.stdout).toMatch(/--mine-weight <x> +mine: how much farther/);
    expect(help.stdout).toContain('[2]');
    const asked = ['train', ...words, ...plugin, '--loss', 'mine', '--mine-weight', '3', '--name', 'own'];
    const trained = await run(...asked);
    expect(trained.code, trained.stderr).toBe(0);
    expect(read('runs/own/config.json').loss).toEqual({ name: 'mine', weight: 3 });
    const more = await run('train', '--resume', 'runs/own', '--epochs', '2', ...plugin);
    expect(more.code, more.stderr).toBe(0);
    const evaluated = await run('eval', 'runs/own', ...plugin, '--json');
    expect(evaluated.code, evaluated.stderr).toBe(0);
    expect(JSON.parse(evaluated.stdout).metrics['R@1']).toBeGreaterThan(0);
  });

  it('is asked for where the run needs it', async () => {
    const missing =
      /--loss: expected one of margin, .*, got "mine"; one of your own comes with --plugin FILE$/;
    await expectMistake(['train', ...words, '--loss', 'mine'], missing);
    await expectMistake(['eval', 'runs/own'], missing);
    await expectMistake(['train', '--resume', 'runs/own', '--epochs', '3'], missing);
  });

  it.each([
    [
      [...plugin, '--loss', 'mine', '--mine-weight', '-1'],
      /--mine-weight: expected a number of at least 0, got -1$/,
    ],
    [[...plugin, '--mine-weight', '1'], /--mine-weight has no effect: it needs --loss mine\. Leave it out$/],
    [['--plugin', 'gone.mjs'], /the plugin gone\.mjs cannot be imported: /],
    [[...plugin, ...plugin], /there is a part named mine among the losses already/],
  ])('%j is a mistake', async (args, message) => {
    await expectMistake(['train', ...words, ...args], message);
  });
});
