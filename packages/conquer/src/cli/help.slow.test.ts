import { spawnSync } from 'node:child_process';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { type Ended, program, conquer as runProgram } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { builtInParts } from '../experiment/experiment.js';
import { smallRun } from '../testing/small-run.js';
import { flagsOf } from './flags.js';
import type { TrainEvent } from './json-lines.js';

function conquer(...args: string[]) {
  const env = { ...process.env, COLUMNS: '80' };
  return spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' });
}

it('conquer --help is what the build wrote down of it, and is current', () => {
  expect(conquer('--help').stdout).toBe(conquer('help').stdout);
  expect(conquer('-h').stdout).toBe(conquer('help').stdout);
});

const flags = flagsOf(builtInParts);
const commands = [...conquer('--help').stdout.matchAll(/^ {2}([a-z]+) (?:\[|<| )/gm)]
  .map(([, name]) => name ?? '')
  .filter((name) => name !== 'help');

describe('help', () => {
  it('names every command', () => {
    expect(commands).toEqual(
      expect.arrayContaining([
        'train',
        'eval',
        'runs',
        'index',
        'search',
        'sync',
        'build',
        'doctor',
        'completion',
      ]),
    );
  });

  it.each([[], ...commands.map((name) => [name])])('%s fits a screen and has an example', (...words) => {
    const { stdout, status } = conquer(...words, '--help');
    const lines = stdout.trimEnd().split('\n');
    expect(status).toBe(0);
    expect(lines.length).toBeLessThanOrEqual(40);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/Example:|Put it where/);
  });

  it('of train shows all options when asked, and those of a group', () => {
    const named = (text: string) => [...text.matchAll(/^ {2}--([\w-]+) /gm)].map(([, name]) => name);
    const all = named(conquer('train', '--help-all').stdout);
    expect(all).toEqual(expect.arrayContaining(flags.map(({ name }) => name)));
    expect(named(conquer('train', '--help', 'all').stdout)).toEqual(all);
    const run = named(conquer('train', '--help', 'run').stdout);
    expect(run).toEqual(flags.flatMap(({ name, group }) => (group === 'Run' ? [name] : [])));
    expect(conquer('train', '--help', 'model').stdout).toContain('bn-inception');
  });

  it.each([
    [['trian'], /unknown command 'trian' \(Did you mean train\?\)/],
    [['train', '--epoch', '3'], /unknown option '--epoch' \(Did you mean --epochs\?\)/],
    [['train', '--loss', 'margn'], /did you mean margin\?/],
    [['train', '--recipe', 'cuub'], /did you mean cub\?/],
    [['train', '--help', 'los'], /did you mean loss\?/],
    [['train', '--json', '--dry-run', '--dataset', 'emoji'], /exclude each other/],
    [
      ['train', '--dry-run', '--resume', 'runs/none'],
      /--dry-run tells what a new run would do: .*runs.none.config\.json/,
    ],
    [['train', '--recipe', 'demo', '--mlflow', 'nowhere'], /expected an address/],
    [['sync', 'runs/none'], /sync with what\?/],
    [['search', 'none.safetensors', 'x.png', '--top', '0'], /--top: expected a whole number/],
  ])('%j is one line and code 2', (args, message) => {
    const { stderr, status } = conquer(...args);
    expect([status, stderr.trimEnd().split('\n').length], stderr).toEqual([2, 1]);
    expect(stderr).toMatch(message);
  });
});

describe('doctor', () => {
  it('says how the machine is, for people and programs', () => {
    const { stdout, status } = conquer('doctor');
    expect(status).toBe(0);
    for (const word of ['Node', 'taken', 'libtorch', 'convolution', 'BLAS', 'CUDA', 'images', 'cache'])
      expect(stdout).toContain(word);
    const { broken, findings } = JSON.parse(conquer('doctor', '--json').stdout);
    expect(broken).toBe(false);
    expect(findings.length).toBeGreaterThan(7);
  });
});

describe('train --json', () => {
  let folder: string;
  let ended: Ended;
  beforeAll(async () => {
    folder = temporaryFolder();
    writeDiscs(folder);
    ended = await runProgram(['train', ...smallRun, '--name', 'it', '--json', '--tensorboard'], { folder });
  }, 300_000);

  it('prints only lines of JSON, from the start to the end', () => {
    expect(ended.code, ended.stderr).toBe(0);
    const events = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TrainEvent);
    expect(events.map(({ event }) => event)).toEqual([
      'start',
      'epoch',
      ...['division', 'epoch', 'division', 'epoch', 'division', 'epoch'],
      'epoch',
      'end',
    ]);
    expect(events[0]).toMatchObject({
      run: 'runs/it',
      device: 'cpu',
      threads: 1,
      data: { train: { images: 64, classes: 8 }, test: { images: 64, classes: 8 }, validation: null },
    });
    expect(events.at(-1)).toMatchObject({ status: 'finished', epochs: 4 });
    expect(ended.stderr).toContain('64 images of 8 classes to train on');
    expect(ended.stderr).toContain('Retrieval and clustering of unseen classes');
  });

  it('writes plain lines where there is no terminal', () => {
    for (const control of ['\u001b', '\r']) expect(ended.stderr).not.toContain(control);
  });

  it('TensorBoard is told of the run, then and afterwards', async () => {
    expect(ended.stderr).not.toMatch(/warning: (?!MarginLoss)/);
    const sync = await runProgram(['sync', 'runs/it', '--tensorboard'], { folder });
    expect([sync.code, sync.stdout]).toEqual([0, 'TensorBoard has 5 records of runs/it\n']);
  });
});
