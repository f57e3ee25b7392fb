import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DamagedFile, fingerprintOf, RunFolder, readEmbeddings, readMap } from '@conquer-dml/run';
import { conquer, program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { randn } from '@conquer-dml/torch';
import { beforeAll, expect, it } from 'vitest';
import type { RunsAnswer } from '../../../dashboard/src/api.js';
import { unpackMap } from '../../../dashboard/src/map-points.js';
import { serveDashboard } from '../../../dashboard/src/serve.js';
import { writeLargeRun } from '../../../dashboard/src/testing/large-run.js';
import { writeRunFiles } from '../../../dashboard/src/testing/run-files.js';
import { ImageIndex } from '../retrieve/image-index.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program, 'map', ...args], { cwd: folder });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  return { child, ended: new Promise((done) => child.on('close', (code) => done({ code, out, err }))) };
}

const map = (...args: string[]) => start(...args).ended;

it('keeps the map of a run and of its learners, the same each time', async () => {
  const run = join(folder, 'runs', 'mine');
  const { labels } = await writeRunFiles(run, { dataDir: join(folder, 'data') });
  const files = ['map-full', 'map-learner-0', 'map-learner-1'].map((name) =>
    join(run, `${name}.safetensors`),
  );
  for (const file of files) writeFileSync(file, 'not a map');
  // By its name, as of the other commands.
  const first = await map('mine');
  expect(first).toMatchObject({
    code: 0,
    out: `${files[0]} (24 test images)\n`,
  });
  expect(readFileSync(files[1]!, 'utf8')).toBe('not a map');
  const bytes = readFileSync(files[0]!);
  const { code, out } = await map(run, '--learners', '--json');
  expect(code).toBe(0);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { file: files[0], learner: 'full', points: 24 },
    { file: files[1], learner: 0, points: 24 },
    { file: files[2], learner: 1, points: 24 },
  ]);
  expect(readFileSync(files[0]!)).toEqual(bytes);
  const read = await readEmbeddings(RunFolder.open(run));
  for (const file of files) {
    const found = await readMap(file, { of: read!.fingerprint, rows: labels.length });
    expect(found).toMatchObject({ x: expect.any(Float32Array), y: expect.any(Float32Array) });
  }
  expect(await readMap(files[0]!, { of: 'others', rows: labels.length })).toBe('outdated');
  await expect(readMap(files[0]!, { of: read!.fingerprint, rows: 23 })).rejects.toThrow(DamagedFile);
});

it('says in a line what is wrong', async () => {
  const says = async (args: string[], line: RegExp) => {
    const { code, out, err } = await map(...args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err.trim().split('\n')).toEqual([expect.stringMatching(line)]);
  };
  await says(
    ['nowhere'],
    /nowhere: expected a run that conquer train wrote, or an index in a folder, there is none$/,
  );
  const bare = join(folder, 'runs', 'bare');
  mkdirSync(bare, { recursive: true });
  writeFileSync(join(bare, 'config.json'), '{"format": 3, "train": {"epochs": 2}}');
  await says([bare], /bare has no embeddings to map: /);
  writeFileSync(join(bare, 'embeddings.safetensors'), 'x');
  await says([bare], /embeddings\.safetensors cannot be read: it is cut off$/);
  await says(['bare', '--threads', 'two'], /--threads: expected .*, got 'two'/);
});

it('keeps the map of an index, which the dashboard shows, until its items change', async () => {
  const path = join(folder, 'photos.index');
  const file = join(path, 'map', 'map-full.safetensors');
  const rows = randn([40, 8]);
  const items = Array.from({ length: 40 }, (_, at) => ({
    id: `${at}.jpg`,
    ...(at > 0 && { labels: ['hat', 'shoe'][at % 2]! }),
  }));
  const index = ImageIndex.of(rows, items);
  index.save(path);
  const refused = await conquer(['dashboard', path], { folder });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(
    /^conquer: .*photos\.index is an index that was not mapped .*: conquer map .*\n$/,
  );
  expect((await map(path, '--learners')).err).toMatch(/^conquer: --learners: it is for a run/);

  const { code, out } = await map(path, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ file, learner: 'full', points: 40 });
  const read = await readEmbeddings(RunFolder.open(join(path, 'map')));
  expect(read!.queries.images!.classNames).toEqual(['(no label)', 'shoe', 'hat']);
  expect(await readMap(file, { of: read!.fingerprint, rows: 40 })).toHaveProperty('x.length', 40);
  const dashboard = await serveDashboard({ runsDir: join(path, 'map'), port: 0 });
  try {
    const { runs } = (await (await fetch(`${dashboard.url}api/runs`)).json()) as RunsAnswer;
    expect(runs).toMatchObject([{ id: 'photos.index', status: 'index', problems: [] }]);
    const shown = unpackMap(await (await fetch(`${dashboard.url}api/runs/photos.index/map`)).arrayBuffer());
    expect([...shown.labels.slice(0, 3)]).toEqual([0, 1, 2]);
  } finally {
    await dashboard.close();
  }

  // Written again, with the same items.
  index.save(path);
  expect(existsSync(file)).toBe(true);
  index.remove(['3.jpg']);
  index.save(path);
  expect(existsSync(join(path, 'map'))).toBe(false);
  expect((await map(path)).out).toContain('(39 images)');
  ImageIndex.of(randn([1, 8]), [{ id: 'one' }]).save(join(folder, 'one.index'));
  expect((await map('one.index')).err).toMatch(
    /^conquer: one\.index: expected an index of two images or more/,
  );
});

it('leaves the map that was there when it is interrupted', { timeout: 60_000 }, async () => {
  const run = join(folder, 'runs', 'large');
  writeLargeRun(run, 30_000);
  const before = readdirSync(run).sort();
  const bytes = readFileSync(join(run, 'map-full.safetensors'));
  const { child, ended } = start(run);
  await new Promise<void>((done) =>
    child.stderr!.on('data', (text: string) => text.includes('laying out') && done()),
  );
  child.kill('SIGINT');
  const { code, out } = await ended;
  expect({ code, out }).toEqual({ code: 130, out: '' });
  expect(readdirSync(run).sort()).toEqual(before);
  expect(readFileSync(join(run, 'map-full.safetensors'))).toEqual(bytes);
});

it('tells embeddings apart', () => {
  const labels = Int32Array.from([0, 1]);
  const vectors = Float32Array.from([1, 2, 3, 4]);
  const one = fingerprintOf({ vectors, labels });
  expect(fingerprintOf({ vectors: vectors.slice(), labels: labels.slice() })).toBe(one);
  expect(fingerprintOf({ vectors: vectors.map((value) => value + 1), labels })).not.toBe(one);
  expect(fingerprintOf({ vectors, labels: Int32Array.from([0, 2]) })).not.toBe(one);
});
