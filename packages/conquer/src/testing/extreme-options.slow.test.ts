import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { type Flag, flagsOf } from '../cli/flags.js';
import { builtInParts } from '../experiment/experiment.js';
import { alternatives } from '../option-error.js';

// Whatever value an option is given, the program does it or says in one line what is wrong with it.

const main = new URL('../../dist/cli/main.js', import.meta.url).href;
const driver = fileURLToPath(new URL('many-commands.mjs', import.meta.url));
const images = fileURLToPath(new URL('../../test/fixtures/runs/images', import.meta.url));
const SECONDS = 40;

interface Ended {
  args: string[];
  /** The exit code, or how else it ended. */
  code: number | string;
  out: string;
  seconds: number;
}

/** Runs commands in a process; in another one from where it was killed or crashed. */
async function runAll(commands: string[][], kilobytes: number | 'unlimited' = 12_000_000): Promise<Ended[]> {
  const all: Ended[] = [];
  let from = 0;
  while (from < commands.length) {
    const file = join(folder, 'commands.json');
    writeFileSync(file, JSON.stringify(commands.slice(from)));
    const limited = `ulimit -v ${kilobytes}; exec "$@"`;
    const child = spawn('bash', ['-c', limited, 'bash', process.execPath, driver, main, file], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, CONQUER_CACHE: join(folder, 'cache') },
    });
    let words = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        words += chunk;
      });
    let [start, slow] = [performance.now(), false];
    const watch = setInterval(() => {
      if (performance.now() - start < 1000 * SECONDS) return;
      slow = true;
      child.kill('SIGKILL');
    }, 500);
    const end = new Promise<string>((resolve) =>
      child.on('close', (code, signal) => resolve(signal ?? String(code))),
    );
    const tell = (ended: Omit<Ended, 'args' | 'seconds'>) => {
      all.push({ args: commands[from++]!, seconds: (performance.now() - start) / 1000, ...ended });
      start = performance.now();
    };
    for await (const line of createInterface({ input: child.stdio[3] as Readable })) tell(JSON.parse(line));
    const how = await end;
    clearInterval(watch);
    if (how !== '0' && from < commands.length)
      tell({ code: slow ? `killed after ${SECONDS} s` : how, out: words });
  }
  return all;
}

/** Of the names that one family goes by, all but that of a small network: hundreds, of gigabytes some. */
const otherNames = new Set(
  builtInParts.backbones.flatMap(({ names = [] }) => {
    const small = names.find((name) => /tiny|atto|b0|small_050|resnet18/.test(name));
    return names.filter((name) => name !== small);
  }),
);

/** Integers, numbers and texts at their ends and beyond; every choice. */
function extremes({ kind, choices, targets }: Flag): (string | number)[] {
  // The emoji are drawn first, for minutes.
  if (kind === 'choice')
    return choices.filter((choice) => !choice.startsWith('emoji') && !otherNames.has(choice));
  if (kind === 'truth') return ['yes', 'no', 'x'];
  if (kind === 'text' || kind === 'list') return ['0', 'x', '1,1', '100000000', ' '];
  const bounds = targets.flatMap(({ schema }) => alternatives(schema));
  const ends = bounds.flatMap(({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) =>
    [minimum, maximum, exclusiveMinimum, exclusiveMaximum].filter((end) => end !== undefined),
  );
  if (ends.length === 0) ends.push(-1e30);
  return kind === 'integer' ? [...ends, 3, 2 ** 31] : [...ends, 1e-30, 1e30];
}

/** These take as long as they are told to: the largest that are tried. */
const ENDLESS: Record<string, number> = {
  epochs: 3,
  'passes-per-epoch': 3,
  threads: 3,
  'histogram-bins': 1e6,
};

const tiny: Record<string, string> = {
  dataset: 'folder',
  'dataset-dir': images,
  arch: 'small-resnet',
  widths: '4,8',
  'image-size': '16',
  resize: '20',
  'embedding-dim': '8',
  'num-learners': '2',
  'mod-epoch': '1',
  'batch-size': '8',
  'samples-per-class': '2',
  lr: '0.001',
  bn: 'trained',
  threads: '1',
  cache: 'no',
};
let trials = 0;
function training(options: Record<string, string | number>): string[] {
  const { arch } = options;
  const base = { ...tiny, epochs: '1', name: `run-${trials++}` };
  const given = Object.entries({ ...base, ...options }).filter(
    ([name]) =>
      !(arch && arch !== 'small-resnet' && ['widths', 'bn'].includes(name)) &&
      !(options.sampler === 'random' && name === 'samples-per-class'),
  );
  return ['train', ...given.flatMap(([name, value]) => [`--${name}`, String(value)])];
}

// For hundreds of runs.
const folder = temporaryFolder();

/** What was not done, and not refused in one line that says what was expected or names an option either. */
function failures(ended: Ended[]): unknown[] {
  return ended.filter(({ code, out }) => {
    if (code === 0) return false;
    const lines = out.split('\n').filter((line) => /^(conquer|error): /.test(line));
    return code !== 2 || lines.length !== 1 || !/expected|--[a-z]/i.test(lines[0]!);
  });
}

/** Runs all, and those that need another option to have an effect once more with it. */
async function runWithWhatTheyNeed(options: Record<string, string | number>[]): Promise<Ended[]> {
  const ended = await runAll(options.map(training));
  const again = ended.flatMap(({ out }, index) => {
    const [, name, value] = /has no effect: it needs --([a-z-]+) ([\w-]+)/.exec(out) ?? [];
    return name && value && !(name in options[index]!) ? [{ ...options[index]!, [name]: value }] : [];
  });
  return [...ended, ...(again.length > 0 ? await runWithWhatTheyNeed(again) : [])];
}

/** Which of the values are tried: every so many. All are more than a thousand trainings, some twelve minutes. */
const EVERY = Number(process.env.CONQUER_EXTREME_EVERY ?? 16);

const groups = flagsOf(builtInParts).flatMap((flag, at) => {
  const { name, group } = flag;
  const values = [...new Set(extremes(flag))].filter(
    (value) => !(Number(value) > (ENDLESS[name] ?? Infinity)),
  );
  // The second epoch divides.
  return values
    .filter((_, place) => (at + place) % EVERY === 0)
    .map((value) => ({ [name]: value, ...(group === 'Division' && { epochs: 2 }) }));
});

it('every option of train', async () => {
  const ended = await runWithWhatTheyNeed(groups);
  expect(failures(ended)).toEqual([]);
  expect(ended.filter(({ code }) => code === 0).length).toBeGreaterThan(ended.length / 4);
}, 1_500_000);

it('what together is more than there is', async () => {
  const sizes = { 'embedding-dim': 1e9, 'image-size': 1e5, 'batch-size': 1e8, widths: '8,100000' };
  const pairs = Object.entries(sizes).flatMap(([name, value], index, all) =>
    all.slice(index + 1).map(([other, size]) => ({ [name]: value, [other]: size })),
  );
  const trials = [...pairs, sizes].map((options) =>
    'image-size' in options ? { ...options, resize: 1e5 } : options,
  );
  const ended = await runAll(trials.map(training));
  expect(failures(ended)).toEqual([]);
});

it('options of the other commands', async () => {
  const run = join('runs', 'searched');
  const numbers = ['0', '-1', '1', '3', '2147483648', '1000000000', '1e30', 'x', '', ' ', '1.5', 'NaN'];
  const texts = ['0', 'x', '*', ' ', '', '\\', 'a\nb', '['];
  const index = join(run, 'index.safetensors');
  const image = join(images, 'class-06', '0.png');
  const each = (command: string[], option: string, values: string[]) =>
    values.map((value) => [...command, `${option}=${value}`]);
  const [evaluate, search] = [
    ['eval', run],
    ['search', index, image],
  ];
  const indexing = ['index', run, images, '--out', join(folder, 'other.safetensors')];
  const commands = [
    training({ name: 'searched' }),
    ['index', run, images, '--out', index],
    ...each(
      evaluate,
      '--threads',
      numbers.filter((value) => value !== ''),
    ),
    ...['--device', '--dataset-dir', '--split', '--checkpoint', '--cache', '--on-bad-image'].flatMap(
      (option) => each(evaluate, option, texts),
    ),
    [...evaluate, '--all-metrics'],
    ...each(indexing, '--threads', numbers),
    ...['--device', '--checkpoint', '--on-bad-image', '--out'].flatMap((option) =>
      each(indexing, option, texts),
    ),
    ...each(search, '--top', numbers),
    ...['--run', '--folder', '--device'].flatMap((option) => each(search, option, texts)),
    ...['--filter', '--sort'].flatMap((option) => each(['runs'], option, texts)),
    ...each(['report', run], '--out', texts),
    ...['--port', '--host'].flatMap((option) =>
      each(['dashboard'], option, ['-1', '65536', '1e30', 'x', ' ', '1.5', 'NaN', '999.999.999.999', 'a\nb']),
    ),
    ...each(['dashboard', 'nowhere'], '--token', texts),
    ...each(['demo'], '--seed', ['-1', 'x', '', ' ', '1e30', '1.5', 'NaN']),
  ];
  // V8's workers and WebAssembly want more addresses than memory.
  const ended = await runAll(commands, 'unlimited');
  expect(ended.slice(0, 2)).toMatchObject([{ code: 0 }, { code: 0 }]);
  expect(failures(ended)).toEqual([]);
});
