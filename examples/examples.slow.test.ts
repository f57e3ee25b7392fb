import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { program as conquerProgram } from '@conquer-dml/testing/program';
import { runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator } from '@conquer-dml/torch';
import { createModel, evaluateEmbeddings, type Metrics, openFolder, openModel } from 'conquer-dml';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeEmojiPhotos } from '../packages/conquer/src/testing/emoji-photos.js';

// The examples as a user runs them: compiled, by the commands that stand in them, with the built packages.

const here = fileURLToPath(new URL('.', import.meta.url));
const scripts = readdirSync(here).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
let folder: string;
let photos: string;

/** The lines of a shell that an example's first lines tell, without the words that explain them. */
function commandsOf(name: string): string[] {
  const lines = readFileSync(join(here, `${name}.ts`), 'utf8').matchAll(
    /^\/\/ ((?:node|curl) .*?)(?: {2,}.*)?$/gm,
  );
  return [...lines].map(([, command = '']) => command);
}

const shell = ['bash', ['-c']] as const;

async function run(command: string): Promise<string> {
  const { stdout } = await promisify(execFile)(shell[0], [...shell[1], command], { cwd: folder });
  return stdout;
}

async function example(name: string): Promise<string> {
  const [command = '', ...others] = commandsOf(name);
  expect(others).toEqual([]);
  return await run(command);
}

beforeAll(async () => {
  execFileSync(join(here, '../node_modules/.bin/tsc'), ['-p', here], { stdio: 'inherit' });
  folder = temporaryFolder();
  symlinkSync(here, join(folder, 'examples'));
  photos = join(folder, 'photos');
  await writeEmojiPhotos(photos, 40);
  copyFileSync(somePhoto(), join(folder, 'photo.png'));
});

/** Of the first class. */
function somePhoto(): string {
  const [name = ''] = readdirSync(photos);
  const [file = ''] = readdirSync(join(photos, name));
  return join(photos, name, file);
}

it('they are short, and the guide tells of each', () => {
  const guide = readFileSync(join(here, '../docs/library.md'), 'utf8');
  for (const script of scripts) {
    const lines = readFileSync(join(here, script), 'utf8').trimEnd().split('\n');
    expect(lines.length, script).toBeLessThanOrEqual(65);
    for (const command of commandsOf(basename(script, '.ts'))) expect(guide).toContain(command);
  }
});

describe('training', () => {
  it('train-on-a-folder finds more of classes that it has not seen than before', async () => {
    const output = await example('train-on-a-folder');
    const { untrained, best } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Record<string, Metrics>;
    expect(best?.['R@1']).toBeGreaterThan(untrained?.['R@1'] ?? 1);
    expect(best?.['MAP@R']).toBeGreaterThan(untrained?.['MAP@R'] ?? 1);
  });

  it('leaves a run that conquer eval and report read', async () => {
    const run = join(folder, 'runs/photos');
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
    const run = join(folder, 'runs', name);
    await example(name);
    const { train } = await openFolder({ folder: photos });
    using trained = await openModel(run, { checkpoint: 'last' });
    const found = async () => {
      const embeddings = await trained.embed(train.paths);
      return evaluateEmbeddings(embeddings, train.labels, { recallAt: [1], nmi: false })['MAP@R'] ?? 0;
    };
    const after = await found();
    using untrained = createModel('small-resnet', { embeddingDim: trained.dim, generator: new Generator(1) });
    const masks = [...trained.model.stateDict().keys()].filter((name) => name.startsWith('masks.'));
    untrained.setNumLearners(masks.length);
    trained.model.loadStateDict(untrained.stateDict());
    const before = await found();
    expect(after, `before ${before}`).toBeGreaterThan(before + 0.05);
  });

  it('own-backbone learns its classes, and is opened again', async () => {
    const output = await example('own-backbone');
    const { ofTrainingClasses } = JSON.parse(output) as Record<string, Metrics>;
    const { untrained } = JSON.parse(readFileSync(join(folder, 'runs/own-backbone/summary.json'), 'utf8'));
    expect(ofTrainingClasses?.['MAP@R']).toBeGreaterThan(untrained['MAP@R'] + 0.05);
  });

  it('embed-and-search finds an image itself, then mostly its class', async () => {
    const [, name, file] = somePhoto().match(/([^/]+)\/([^/]+)$/) ?? [];
    const first = await example('embed-and-search');
    const [count, nearest, ...others] = first.trim().split('\n');
    expect(count).toMatch(/^(\d+) images, \1 of them embedded now$/);
    expect(nearest).toBe(`1.000  ${join(photos, name!, file!)}`);
    expect(others.some((line) => line.includes(`/${name}/`))).toBe(true);
    const again = await example('embed-and-search');
    expect(again).toBe(first.replace(/, \d+ of/, ', 0 of'));
  });

  it('search-server answers with the images that are like one, and to what is none with what is wrong', async () => {
    const port = await freePort();
    const [start = '', ask = ''] = commandsOf('search-server').map((line) => line.replace('8080', `${port}`));
    const server = spawn(shell[0], [...shell[1], `exec ${start}`], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [said] = await once(server.stdout, 'data');
      expect(`${said}`).toBe(`listening on http://127.0.0.1:${port}/\n`);
      const [, id] = somePhoto().match(/([^/]+\/[^/]+)$/) ?? [];
      for (const answer of await Promise.all([run(ask), run(ask)])) {
        const { matches } = JSON.parse(answer) as { matches: { id: string; similarity: number }[][] };
        expect(matches[0]).toHaveLength(5);
        expect(matches[0]?.[0]?.id).toBe(id);
        expect(matches[0]?.[0]?.similarity).toBeCloseTo(1, 3);
      }
      const headers = { 'Content-Type': 'image/png' };
      const refused = await fetch(`http://127.0.0.1:${port}/search`, {
        method: 'POST',
        body: 'none',
        headers,
      });
      expect(refused.status).toBe(422);
    } finally {
      server.kill();
      const [code] = await once(server, 'close');
      expect(code).toBe(0);
    }
  });

  it('decide accepts the image itself, and says its class', async () => {
    const [first = '', ...others] = (await example('decide')).trim().split('\n');
    const [, name, file] = somePhoto().match(/([^/]+)\/([^/]+)$/) ?? [];
    expect(first).toMatch(/^accepted {2}\d\.\d{3} {2}/);
    expect(first.endsWith(`${name}/${file}`)).toBe(true);
    expect(others.at(-1)).toMatch(/^class .+, \d+ % of its neighbours' votes$/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

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
  const metrics = JSON.parse(await example('evaluate-embeddings')) as Metrics;
  expect(metrics['R@1']).toBeCloseTo(expected, 2);
  expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['R@8', 'MAP@R', 'NMI', 'F1', 'rho']));
});

it('emoji-photos writes a folder of classes', async () => {
  await example('emoji-photos');
  const classes = readdirSync(join(folder, 'pictures'));
  expect(classes).toHaveLength(30);
  for (const name of classes) expect(readdirSync(join(folder, 'pictures', name)).length).toBeGreaterThan(2);
});
