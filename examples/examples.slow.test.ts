import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { program as conquerProgram } from '@conquer-dml/testing/program';
import { runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator } from '@conquer-dml/torch';
import { createModel, evaluateEmbeddings, type Metrics, openEmoji, openFolder, openModel } from 'conquer-dml';
import { beforeAll, describe, expect, it } from 'vitest';

// The examples as a user runs them: compiled, by Node, with the built packages.

const here = fileURLToPath(new URL('.', import.meta.url));
let folder: string;
let photos: string;

async function example(name: string, ...args: string[]): Promise<string> {
  const program = join(here, 'dist', `${name}.js`);
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args], { cwd: folder });
  return stdout;
}

beforeAll(async () => {
  execFileSync(join(here, '../node_modules/.bin/tsc'), ['-p', here], {
    stdio: 'inherit',
  });
  folder = temporaryFolder();
  photos = join(folder, 'photos');
  // Real data, in the layout of a folder of one's own: forty emoji, up to nine drawings of each.
  const { train } = await openEmoji();
  for (const [image, path] of train.paths.entries()) {
    const label = train.labels[image] ?? 0;
    if (label >= 40) continue;
    const inside = join(photos, train.classNames[label] ?? '');
    mkdirSync(inside, { recursive: true });
    copyFileSync(path, join(inside, `${image}-${basename(path)}`));
  }
});

it('there are five, each under 40 lines', () => {
  const scripts = readdirSync(here).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  expect(scripts).toHaveLength(5);
  for (const script of scripts)
    expect(readFileSync(join(here, script), 'utf8').trimEnd().split('\n').length, script).toBeLessThan(40);
});

describe('training', () => {
  it('train-on-a-folder finds more of classes that it has not seen than before', async () => {
    const output = await example('train-on-a-folder', photos, join(folder, 'train-on-a-folder'));
    const { untrained, best } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Record<string, Metrics>;
    expect(best?.['R@1']).toBeGreaterThan(untrained?.['R@1'] ?? 1);
    expect(best?.['MAP@R']).toBeGreaterThan(untrained?.['MAP@R'] ?? 1);
  });

  it('leaves a run that conquer eval and report read', async () => {
    const run = join(folder, 'train-on-a-folder');
    const conquer = (...args: string[]) => promisify(execFile)(process.execPath, [conquerProgram, ...args]);
    const { stdout } = await conquer('eval', run, '--json');
    const summary = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8'));
    expect(JSON.parse(stdout).metrics['R@1']).toBeCloseTo(summary.best.metrics['R@1'], 6);
    await conquer('report', run);
    // The pictures are in it: the run says which folder they may be taken from.
    const report = readFileSync(join(run, 'report.html'), 'utf8');
    expect(report).toContain('conquer-report');
    expect(report.match(/data:image\/webp;base64,/g)?.length).toBeGreaterThan(20);
  });

  // Twenty classes are too few to say anything of others: what is learnt is seen in themselves.
  it.each(['own-loss', 'own-miner'])('%s learns its classes', async (name) => {
    const run = join(folder, name);
    await example(name, photos, run);
    const { train } = await openFolder({ folder: photos });
    using trained = await openModel(run, { checkpoint: 'last' });
    const found = async () => {
      const embeddings = await trained.embed(train.paths);
      return evaluateEmbeddings(embeddings, train.labels, { recallAt: [1], nmi: false })['MAP@R'] ?? 0;
    };
    const after = await found();
    using untrained = createModel('small-resnet', { embeddingDim: trained.dim, generator: new Generator(1) });
    untrained.setNumLearners(trained.model.numLearners);
    trained.model.loadStateDict(untrained.stateDict());
    expect(after).toBeGreaterThan((await found()) + 0.05);
  });

  it('embed-and-search finds an image itself, then mostly its class', async () => {
    const run = join(folder, 'train-on-a-folder');
    const [name = ''] = readdirSync(photos);
    const [file = ''] = readdirSync(join(photos, name));
    const image = join(photos, name, file);
    const first = await example('embed-and-search', run, photos, image);
    const [count, nearest, ...others] = first.trim().split('\n');
    expect(count).toMatch(/^(\d+) images, \1 of them embedded now$/);
    expect(nearest).toBe(`0.000  ${image}`);
    expect(others.some((line) => line.includes(`/${name}/`))).toBe(true);
    const again = await example('embed-and-search', run, photos, image);
    expect(again).toBe(first.replace(/, \d+ of/, ', 0 of'));
  });
});

it('evaluate-embeddings measures what Python made', async () => {
  const file = join(folder, 'embeddings.csv');
  // A histogram of colours is an embedding too. R@1 is counted by numpy beside it.
  const expected = runPython<number>(
    `
import glob, os, numpy
from PIL import Image
rows, names = [], []
for path in sorted(glob.glob(os.path.join(input['photos'], '*', '*.png'))):
    pixels = numpy.asarray(Image.open(path).convert('RGB').resize((24, 24)), dtype=float).reshape(-1, 3)
    rows.append(numpy.concatenate([numpy.histogram(pixels[:, c], bins=8, range=(0, 256))[0] for c in range(3)]))
    names.append(os.path.basename(os.path.dirname(path)))
with open(input['file'], 'w') as f:
    for name, row in zip(names, rows):
        f.write(name + ',' + ','.join(str(v) for v in row) + '\\n')
x = numpy.array(rows, dtype=float)
x /= numpy.linalg.norm(x, axis=1, keepdims=True)
d = ((x[:, None] - x[None]) ** 2).sum(2)
numpy.fill_diagonal(d, 9)
names = numpy.array(names)
output = float((names[d.argmin(1)] == names).mean())
`,
    { photos, file },
  );
  const metrics = JSON.parse(await example('evaluate-embeddings', file)) as Metrics;
  expect(metrics['R@1']).toBeCloseTo(expected, 2);
  expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['R@8', 'MAP@R', 'NMI', 'F1', 'rho']));
});
