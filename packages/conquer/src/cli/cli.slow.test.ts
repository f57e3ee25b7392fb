import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EpochRecord, Summary } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';

let folder: string;

function start(args: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function end(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

const conquer = (...args: string[]) => end(start(args));

/** Twelve classes: discs of twelve colours, of different size and place. */
function writeImages(path: string): void {
  for (let label = 0; label < 12; label++) {
    const classFolder = join(path, `class-${String(label).padStart(2, '0')}`);
    mkdirSync(classFolder, { recursive: true });
    for (let image = 0; image < 6; image++) {
      const fill = `hsl(${label * 30},90%,50%)`;
      const svg = discSvg({ x: 12 + image, y: 20 - image, r: 6 + image, fill });
      writeFileSync(join(classFolder, `${image}.svg`), svg);
    }
  }
}

const small = [
  [
    '--dataset',
    'folder',
    '--dataset-dir',
    'images',
    '--arch',
    'small-resnet',
    '--widths',
    '8,16',
    '--bn',
    'trained',
  ],
  [
    '--embedding-dim',
    '16',
    '--image-size',
    '16',
    '--resize',
    '20',
    '--batch-size',
    '12',
    '--samples-per-class',
    '3',
  ],
  [
    '--lr',
    '1e-3',
    '--num-learners',
    '2',
    '--divide-from',
    '0',
    '--mod-epoch',
    '1',
    '--force-full-embedding-epoch',
    '2',
    '--threads',
    '1',
  ],
].flat();

const epochsOf = (run: string): Omit<EpochRecord, 'seconds'>[] =>
  readFileSync(join(folder, 'runs', run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { seconds: _, ...record } = JSON.parse(line) as EpochRecord;
      return record;
    });

beforeAll(() => {
  folder = temporaryFolder();
  writeImages(join(folder, 'images'));
});

describe('a mistake ends with one line and code 2', () => {
  it.each([
    [['train', '--batch-size', 'x'], /--batch-size: expected an integer/],
    [['train'], /which data set\?/],
    [['train', '--datset', 'emoji'], /unknown option '--datset' \(Did you mean --dataset\?\)/],
    [['trian'], /unknown command 'trian' \(Did you mean train\?\)/],
    [['train', '--dataset', 'folder', '--dataset-dir', 'nowhere'], /nowhere/],
    [['train', ...small, '--num-learners', '3'], /power of two.*use 2 or 4/],
    [
      ['train', ...small, '--mod-epoch-freeze', '5'],
      /--mod-epoch-freeze: .* fewer than the 1 epochs between redivisions/,
    ],
    [['train', ...small, '--device', 'cuda:0'], /CUDA is not to be had/],
    [['train', ...small, '--masks', 'fixed', '--mask-init', 'normal'], /fixed masks/],
    [['train', ...small, '--samples-per-class', '5'], /samples per class/],
    [['train', '--recipe', 'none'], /recipe none cannot be read/],
    [['train', '--resume', 'runs/none'], /there is no run in runs\/none/],
    [['eval', 'runs/none'], /there is no run in/],
    [['eval'], /eval: expected run folders, or --model and --dataset/],
  ])('%j', async (args, message) => {
    const { code, stderr, stdout } = await conquer(...args);
    const errors = stderr.split('\n').filter((line) => line.startsWith('conquer: '));
    expect([code, errors.length], stderr).toEqual([2, 1]);
    expect(errors[0]).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(stdout).toBe('');
  });
});

describe('a run', () => {
  it('trains, reports, evaluates, and is not written over', async () => {
    const trained = await conquer('train', ...small, '--epochs', '3', '--name', 'whole');
    expect([trained.code, trained.stderr]).toEqual([0, expect.stringContaining('divided into 2 clusters')]);
    expect(trained.stdout).toContain('before training');
    const summary = JSON.parse(readFileSync(join(folder, 'runs/whole/summary.json'), 'utf8')) as Summary;
    expect(summary.status).toBe('finished');
    expect(summary.last?.epoch).toBe(2);
    expect(summary.experiment).toMatchObject({ data: { batchSize: 12 } });
    expect(summary.best?.metrics['R@1']).toBeGreaterThan(summary.untrained?.['R@1'] === 1 ? 0.5 : 0.2);

    const evaluated = await conquer('eval', 'runs/whole', '--checkpoint', 'last', '--json');
    expect(evaluated.code).toBe(0);
    const { metrics } = JSON.parse(evaluated.stdout);
    expect(metrics['R@1']).toBeCloseTo(summary.last?.metrics['R@1'] ?? -1, 6);
    expect(metrics['MAP@R']).toBeCloseTo(summary.last?.metrics['MAP@R'] ?? -1, 6);

    const more = await conquer('eval', 'runs/whole', '--checkpoint', 'last', '--json', '--all-metrics');
    expect(more.code, more.stderr).toBe(0);
    const extended = JSON.parse(more.stdout).metrics;
    expect(extended).toMatchObject(metrics);
    for (const key of ['MAP@1000', 'MAP', 'F1', 'rho', 'intra', 'inter']) {
      expect(Number.isFinite(extended[key]), key).toBe(true);
      expect(metrics[key]).toBe(undefined);
    }
    const table = await conquer('eval', 'runs/whole', '--all-metrics');
    expect(table.stdout).toContain(
      'in per cent; k-means, rho, intra, inter as they are; ± its standard error over classes; NMI, AMI, k-means, F1 of ten k-means',
    );

    // Images of all classes are alike to the built-in network, those of the test classes among them.
    const pairs = await conquer('duplicates', 'images', '--json', '--min-similarity', '0.9');
    expect(pairs.code, pairs.stderr).toBe(0);
    writeFileSync(join(folder, 'pairs.jsonl'), pairs.stdout);
    const apart = await conquer('eval', 'runs/whole', '--checkpoint', 'last', '--duplicates', 'pairs.jsonl');
    expect(apart.stdout, apart.stderr).toContain('; near-duplicates do not find each other');
    writeFileSync(join(folder, 'others.jsonl'), '{"first":{"path":"/x.svg"},"second":{"path":"/y.svg"}}');
    const others = await conquer('eval', 'runs/whole', '--duplicates', 'others.jsonl');
    expect(others.stderr).toContain('expected near-duplicates among the images of test, got pairs of others');

    const again = await conquer('train', ...small, '--epochs', '3', '--name', 'whole');
    expect([again.code, again.stderr]).toEqual([
      2,
      expect.stringContaining('there is a run in runs/whole already'),
    ]);
  });

  it('resumed with more epochs, gives the numbers of one that was never cut', async () => {
    expect((await conquer('train', ...small, '--epochs', '1', '--name', 'cut')).code).toBe(0);
    const resumed = await conquer('train', '--resume', 'runs/cut', '--epochs', '3');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(epochsOf('cut')).toEqual(epochsOf('whole'));
    const changed = await conquer('train', '--resume', 'runs/cut', '--lr', '1');
    expect([changed.code, changed.stderr]).toEqual([2, expect.stringContaining('leave out --lr')]);
    const done = await conquer('train', '--resume', 'runs/cut');
    expect([done.code, done.stderr]).toEqual([2, expect.stringContaining('--epochs')]);
  });

  it('stopped by SIGINT, SIGTERM or SIGHUP, says how to go on, and goes on exactly', async () => {
    for (const [signal, expected] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      const name = `stopped-${signal}`;
      const child = start(['train', ...small, '--epochs', '3', '--name', name]);
      let killed = false;
      child.stderr?.on('data', (chunk: Buffer) => {
        if (!killed && String(chunk).includes('untrained')) {
          killed = true;
          child.kill(signal);
        }
      });
      const { code, stderr } = await end(child);
      expect([code, stderr]).toEqual([expected, expect.stringContaining(`--resume runs/${name}`)]);
      const summary = JSON.parse(readFileSync(join(folder, 'runs', name, 'summary.json'), 'utf8')) as Summary;
      expect(summary.status).toBe('stopped');
      expect((await conquer('train', '--resume', `runs/${name}`)).code).toBe(0);
      expect(epochsOf(name)).toEqual(epochsOf('whole'));
    }
  });
});

describe('the losses of the Revisiting collection', () => {
  it.each([
    'contrastive',
    'snr',
    'mc-npair',
    'angular',
    'multi-similarity',
    'histogram',
    'proxy-nca',
    'arcface',
    'soft-triple',
  ])('%s trains', async (loss) => {
    const hasWeights = ['proxy-nca', 'arcface', 'soft-triple'].includes(loss);
    const rate = hasWeights ? ['--loss-lr', '1e-2'] : [];
    const args = ['--loss', loss, ...rate, '--epochs', '3', '--name', loss];
    const { code, stderr } = await conquer('train', ...small, ...args);
    expect(code, stderr).toBe(0);
    const [before, ...epochs] = epochsOf(loss);
    expect(epochs.every(({ metricLoss }) => Number.isFinite(metricLoss))).toBe(true);
    expect(epochs.every(({ skipped }) => skipped === 0)).toBe(true);
    expect(epochs.at(-1)?.metrics?.['MAP@R']).toBeGreaterThan((before?.metrics?.['MAP@R'] ?? 1) - 0.2);
  });
});
