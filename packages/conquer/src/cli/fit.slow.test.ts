import type { ChildProcess } from 'node:child_process';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RunFolder } from '@conquer-dml/run';
import { conquer, program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FitReport } from '../fit/fit-report.js';
import { Random } from '../random.js';
import { writeEmojiPhotos } from '../testing/emoji-photos.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { fitAdvice } from './fit-table.js';

// `conquer fit` as it is installed: killed, interrupted, and the commands that it prints, run as they are.

const small =
  '--image-size 32 --views 4 --splits 2 --seeds 2 --steps 100 --heads linear,mlp --choose mlp --embedding-dim 16 --batch-size 16 --threads 1 --json'.split(
    ' ',
  );
let folder: string;
let whole: FitReport;

beforeAll(async () => {
  folder = temporaryFolder();
  await writeEmojiPhotos(join(folder, 'my photos'), 10);
  const ended = await fit('whole');
  expect(ended.code, ended.stderr).toBe(0);
  whole = JSON.parse(ended.stdout);
}, 120_000);

const fit = async (name: string, options = {}, photos = 'my photos', at = folder) =>
  await conquer(['fit', join(folder, photos), '--name', name, ...small], { folder: at, ...options });

/** What does not depend on when and where. */
const found = ({ seconds: _, run: __, ...report }: FitReport) => report;

const weights = (run: string) => {
  const saved = loadCheckpoint(RunFolder.open(run).bestCheckpoint);
  const values = [...saved.model].filter(([name]) => name.startsWith('embedding'));
  const listed = values.map(([name, value]) => [name, value.tolist()]);
  disposeCheckpoint(saved);
  return listed;
};

describe('conquer fit', () => {
  it('keeps four views a photo, so that a second one has nothing to embed', async () => {
    expect(whole).toMatchObject({ views: 4, taken: 'mlp', classes: 10 });
    const again = await fit('again');
    expect(again.code, again.stderr).toBe(0);
    expect(found(JSON.parse(again.stdout))).toEqual(found(whole));
    const total = 4 * whole.photos;
    expect(again.stderr).toContain(`sending the photos through the network: ${total}/${total} done`);
    expect(again.stderr.match(/sending the photos/g)).toHaveLength(1);
  });

  it.each(['SIGKILL', 'SIGINT'] as const)(
    '%s, over and over: it goes on, to the same result',
    async (signal) => {
      const at = temporaryFolder();
      const random = new Random(1);
      let [stops, last] = [0, 2];
      for (;;) {
        const after = stops >= 3 ? null : last * (500 + random.int(500));
        let timer: NodeJS.Timeout | undefined;
        const onStart = (child: ChildProcess) => {
          if (after !== null) timer = setTimeout(() => child.kill(signal), after);
        };
        const ended = await fit('run', { onStart }, 'my photos', at);
        clearTimeout(timer);
        if (ended.code === 0) {
          expect(found(JSON.parse(ended.stdout))).toEqual(found(whole));
          break;
        }
        if (signal === 'SIGKILL') expect(ended.signal).toBe('SIGKILL');
        else {
          expect([ended.code, ended.stderr]).toEqual([130, expect.stringContaining('goes on where it was')]);
          expect(ended.stderr).not.toMatch(/bug|\n {4}at /);
        }
        // Killed between its last file and its end.
        if (
          existsSync(join(at, 'runs/run/summary.json')) &&
          RunFolder.open(join(at, 'runs/run')).summary()?.status === 'finished'
        )
          break;
        stops++;
        last++;
      }
      expect(stops).toBeGreaterThan(0);
      expect(weights(join(at, 'runs/run'))).toEqual(weights(join(folder, 'runs/whole')));
    },
    240_000,
  );
});

describe('the command that trains the network itself', () => {
  /** The line that a person copies, run by a shell. */
  const paste = async (report: FitReport, source: { photos: string; dataset: string }, ...more: string[]) => {
    const line = fitAdvice({ ...report, network: 'open' }, source)
      .split('\n')
      .find((text) => text.startsWith('  npx conquer train'))!
      .trim();
    const command = [line, ...more].join(' ').replace('npx conquer', `"${process.execPath}" "${program}"`);
    const env = { ...process.env, CONQUER_CACHE: join(folder, 'cache') };
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: folder, env });
    return { line, stdout };
  };

  it('takes data, network and size of the images of a run', async () => {
    const { line, stdout } = await paste(whole, { photos: 'my photos', dataset: 'folder' }, '--name network');
    expect(line).toBe('npx conquer train --recipe photos --from runs/whole');
    expect(stdout).toContain('MAP@R');
    const run = RunFolder.open(join(folder, 'runs/network'));
    expect(run.summary()).toMatchObject({ status: 'finished', queries: expect.any(Number) });
    expect(run.experiment()).toMatchObject({
      data: { imageSize: 32, trainOn: 'split', dataset: { folder: join(folder, 'my photos') } },
      model: { backbone: { name: 'tf_efficientnet_lite0.in1k' }, weights: 'published', embeddingDim: 256 },
    });
    // The classes of the first split's test, which the table has numbers of.
    const untrained = run.summary()!.untrained!;
    expect(untrained['R@1']).toBeGreaterThan(0);
  }, 120_000);

  it('says them where no run was written, of a CSV file too', async () => {
    const lines = readdirSync(join(folder, 'my photos')).flatMap((label) =>
      readdirSync(join(folder, 'my photos', label)).map((name) => `"my photos/${label}/${name}",${label}`),
    );
    writeFileSync(join(folder, 'list of photos.csv'), `path,label\n${lines.join('\n')}\n`);
    const ended = await fit('csv', {}, 'list of photos.csv');
    expect(ended.code, ended.stderr).toBe(0);
    const report: FitReport = JSON.parse(ended.stdout);
    expect(report.frozen).toEqual(whole.frozen);
    const quick = ['--image-size 32 --epochs 1 --name', 'from-csv'];
    await paste({ ...report, run: null }, { photos: 'list of photos.csv', dataset: 'csv' }, ...quick);
    const one = await paste(
      report,
      { photos: 'list of photos.csv', dataset: 'csv' },
      '--epochs 1 --name from-run',
    );
    expect(one.line).toContain('--from runs/csv');
    const splits = ['from-csv', 'from-run'].map((name) => {
      const run = RunFolder.open(join(folder, 'runs', name));
      return readFileSync(join(run.path, 'dataset.json'), 'utf8');
    });
    expect(splits[0]).toBe(splits[1]);
  }, 120_000);
});
