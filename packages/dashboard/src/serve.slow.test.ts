import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  ApiError,
  ClassesAnswer,
  EmbeddingInfo,
  MapPoints,
  MasksIndex,
  MasksOfEpoch,
  RetrievalItem,
  RetrievalPage,
  RunDetail,
  RunsAnswer,
} from './api.js';
import { unpackMap } from './map-points.js';
import { type Dashboard, serveDashboard } from './serve.js';
import {
  appendEpoch,
  HOSTILE,
  nearestByHand,
  type RunFiles,
  writeEmbeddings,
  writeRunFiles,
} from './testing/run-files.js';

let folder: string;
let dashboard: Dashboard;
let plain: RunFiles;
let withGallery: RunFiles;

beforeAll(async () => {
  folder = temporaryFolder();
  const runs = join(folder, 'runs');
  plain = await writeRunFiles(join(runs, 'plain'), { dataDir: join(folder, 'data') });
  withGallery = await writeRunFiles(join(runs, 'gallery'), {
    dataDir: join(folder, 'data'),
    gallery: true,
    experiment: { optimize: { learningRate: 0.01 }, note: HOSTILE },
  });
  dashboard = await serveDashboard({ runsDir: runs, port: 0, interval: 50 });
});

afterAll(async () => {
  await dashboard.close();
});

const address = (path: string) => new URL(path, dashboard.url).href;

async function get<T>(path: string): Promise<T> {
  const answer = await fetch(address(path));
  expect(answer.status, path).toBe(200);
  return (await answer.json()) as T;
}

async function mapAt(path: string): Promise<MapPoints> {
  const answer = await fetch(address(path));
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
  return unpackMap(await answer.arrayBuffer());
}

async function refused(path: string): Promise<{ status: number } & ApiError> {
  const answer = await fetch(address(path));
  return { status: answer.status, ...((await answer.json()) as ApiError) };
}

/** A path as it stands: fetch would resolve `..` itself. */
function raw(path: string, headers: Record<string, string> = {}): Promise<{ status: number; body: string }> {
  return new Promise((done, failed) => {
    const sent = request({ host: '127.0.0.1', port: dashboard.port, path, headers }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        body += chunk;
      });
      answer.on('end', () => done({ status: answer.statusCode ?? 0, body }));
    });
    sent.on('error', failed).end();
  });
}

describe('runs', () => {
  it('are listed with status, best epoch and the settings that differ', async () => {
    const { runs, differing } = await get<RunsAnswer>('api/runs');
    expect(runs.map(({ id }) => id).sort()).toEqual(['gallery', 'plain']);
    // One run alone has a note: what the other does not say is no difference.
    expect(differing).toEqual(['optimize.learningRate']);
    const run = runs.find(({ id }) => id === 'plain');
    expect(run).toMatchObject({ status: 'finished', epochs: 4, of: 4, problems: [] });
    expect(run?.best).toEqual({
      epoch: 3,
      metrics: { 'R@1': 0.65, 'R@2': 0.6, 'MAP@R': 0.3, NMI: 0.4 },
      chosenOn: 'test',
      chosenBy: 'R@1',
    });
  });

  it('tell epochs, steps, divisions, the flow between them and the tree of learners', async () => {
    const run = await get<RunDetail>('api/runs/plain');
    expect(run.records.map(({ epoch }) => epoch)).toEqual([-1, 0, 1, 2, 3]);
    expect(run.records[2]).toMatchObject({ metricLoss: 1, learningRates: { backbone: 0.001 } });
    expect(run.steps).toHaveLength(8);
    expect(run.lines).toEqual({ records: 5, steps: 8, divisions: 4, masks: 4 });
    expect(run.has).toEqual({ masks: true, embedding: true });
    expect(run.divisions.map(({ sizes }) => sizes)).toEqual([[6], [2, 3], [2, 4], [1, 1, 2, 2]]);
    expect(run.divisions[0]).not.toHaveProperty('clusters');
    // From 1 to 2 clusters: two to cluster 0, three to cluster 1, one to none.
    expect(run.flows[0]).toEqual({
      fromEpoch: 0,
      toEpoch: 1,
      counts: [
        [2, 3, 1],
        [0, 0, 0],
      ],
    });
    expect(run.flows[1]?.counts).toEqual([
      [1, 1, 0],
      [0, 3, 0],
      [1, 0, 0],
    ]);
    expect(
      run.tree.levels.map(({ numLearners, fromEpoch, toEpoch }) => [numLearners, fromEpoch, toEpoch]),
    ).toEqual([
      [1, 0, 0],
      [2, 1, 2],
      [4, 3, 3],
    ]);
    expect(run.tree.levels[1]?.sizes).toEqual([2, 4]);
    expect(run.tree.links).toEqual([
      { level: 0, from: 0, to: 0, images: 2 },
      { level: 0, from: 0, to: 1, images: 3 },
      { level: 1, from: 0, to: 0, images: 1 },
      { level: 1, from: 0, to: 1, images: 1 },
      { level: 1, from: 1, to: 2, images: 2 },
      { level: 1, from: 1, to: 3, images: 2 },
    ]);
  });

  it('hold the masks of each epoch with their similarity', async () => {
    const { epochs } = await get<MasksIndex>('api/runs/plain/masks');
    expect(epochs[0]).toEqual({
      epoch: 0,
      numLearners: 2,
      dim: 8,
      meanSimilarity: expect.closeTo(4 / Math.sqrt(30), 6),
      active: 11 / 16,
    });
    const masks = await get<MasksOfEpoch>('api/runs/plain/masks/3');
    expect(masks.masks[1]).toEqual([0, 1, 1, 0, 1, 1, 1, 3]);
    expect(masks.similarity[0]?.[1]).toBeCloseTo(7 / Math.sqrt(6 * 14), 6);
    expect(await refused('api/runs/plain/masks/99')).toMatchObject({ status: 404, code: 'absent' });
  });
});

describe('one damaged run', () => {
  const names = ['empty', 'null', 'list', 'object', 'number', 'text', 'lines', 'folder'];
  const path = (name: string) => join(folder, 'runs', `damaged-${name}`);
  afterAll(() => {
    for (const name of names) rmSync(path(name), { recursive: true, force: true });
  });

  it('is named as such, whatever is in its files, and all others are shown', async () => {
    const configs = { empty: '', null: 'null', list: '[]', object: '{}', number: '7', text: '"x"' };
    for (const [name, text] of Object.entries(configs)) {
      mkdirSync(path(name));
      writeFileSync(join(path(name), 'config.json'), text);
    }
    mkdirSync(join(path('folder'), 'config.json'), { recursive: true });
    mkdirSync(path('lines'));
    writeFileSync(join(path('lines'), 'config.json'), '{"format": 3, "train": {"epochs": 3}}');
    const lines = [
      '{"epoch": 0, "metrics": {"R@1": 0.5}}',
      'null',
      '{"epoch": 1, "metrics": {"R@1": NaN}}',
      '[]',
    ];
    // An epoch that stands twice, the later line counting.
    lines.push('{"epoch": 0, "metrics": {"R@1": 0.25}}', '{"epoch": 1, "metrics": {"R@1": 0.5}}');
    writeFileSync(join(path('lines'), 'metrics.jsonl'), `${lines.join('\n')}\n`);
    const { runs, differing } = await get<RunsAnswer>('api/runs');
    for (const name of [...Object.keys(configs), 'folder']) {
      const run = runs.find(({ id }) => id === `damaged-${name}`);
      expect(run, name).toMatchObject({ status: 'damaged', problems: ['config.json cannot be read'] });
      expect((await get<RunDetail>(`api/runs/damaged-${name}`)).records).toEqual([]);
    }
    const cut = runs.find(({ id }) => id === 'damaged-lines');
    expect(cut).toMatchObject({
      status: 'cut off',
      epochs: 2,
      of: 3,
      problems: ['metrics.jsonl: 3 damaged lines are left out'],
    });
    const { records } = await get<RunDetail>('api/runs/damaged-lines');
    expect(records.map(({ epoch, metrics }) => [epoch, metrics?.['R@1']])).toEqual([
      [0, 0.25],
      [1, 0.5],
    ]);
    expect(runs.find(({ id }) => id === 'plain')?.status).toBe('finished');
    expect(differing).toContain('optimize.learningRate');
  });
});

describe('runs in folders of the folder', () => {
  it('are shown by their way from it, with all that belongs to them', async () => {
    const path = join(folder, 'runs', 'cmp', 'of lr', 'nested');
    await writeRunFiles(path, { dataDir: join(folder, 'data') });
    const { runs } = await get<RunsAnswer>('api/runs');
    const id = 'cmp/of lr/nested';
    expect(runs.find((run) => run.id === id)?.name).toBe(id);
    const of = `api/runs/${encodeURIComponent(id)}`;
    expect((await get<RunDetail>(of)).records).toHaveLength(5);
    const item = await get<RetrievalItem>(`${of}/neighbours/3`);
    expect(item.query.src).toBe(`${of}/images/query/3`);
    expect((await fetch(address(item.query.src as string))).status).toBe(200);
    // Neither the insides of runs nor links are looked into.
    mkdirSync(join(path, 'inner'));
    writeFileSync(join(path, 'inner', 'config.json'), '{"epochs": 1}');
    symlinkSync(join(folder, 'data'), join(folder, 'runs', 'cmp', 'link'));
    expect((await get<RunsAnswer>('api/runs')).runs.filter((run) => run.id.startsWith('cmp'))).toHaveLength(
      1,
    );
    rmSync(join(folder, 'runs', 'cmp'), { recursive: true });
  });
});

describe('a very long run', () => {
  it('is thinned out', async () => {
    const path = join(folder, 'runs', 'long');
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), '{"epochs": 6000}');
    const epochs = Array.from({ length: 6001 }, (_, i) => i - 1);
    const lines = (make: (epoch: number) => object[]) =>
      epochs
        .flatMap(make)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join('');
    const metrics = (epoch: number) => ({ 'R@1': epoch === 1234 ? 0.9 : 0.5 });
    writeFileSync(
      join(path, 'metrics.jsonl'),
      lines((epoch) => [{ epoch, metrics: metrics(epoch), steps: 3 }]),
    );
    writeFileSync(
      join(path, 'steps.jsonl'),
      lines((epoch) =>
        epoch < 0 ? [] : [0, 1, 2].map((step) => ({ epoch, step, steps: 3, metricLoss: 1 })),
      ),
    );
    const division = { numClusters: 2, sizes: [1, 1], classCounts: [1, 1], clusters: [0, 1] };
    writeFileSync(
      join(path, 'divisions.jsonl'),
      lines((epoch) => (epoch < 0 ? [] : [{ epoch, ...division }])),
    );
    writeFileSync(
      join(path, 'masks.jsonl'),
      lines((epoch) => [{ epoch, masks: [[1, 0]] }]),
    );
    const run = await get<RunDetail>('api/runs/long');
    expect(run.records.length).toBeLessThanOrEqual(2000);
    expect(run.records.find(({ epoch }) => epoch === 1234)).toBeDefined();
    expect(run.steps.length).toBeLessThanOrEqual(5000);
    expect(run.steps.at(-1)).toMatchObject({ epoch: 5999, step: 2 });
    expect(run.epochSteps).toEqual([{ epoch: 0, steps: 3 }]);
    expect([run.divisions.length, run.divisionsBefore, run.flows.length]).toEqual([1000, 5000, 999]);
    expect(run.lines).toMatchObject({ records: 6001, steps: 18_000, divisions: 6000 });
    expect(run).toMatchObject({ epochs: 6000, best: { epoch: 1234 } });
    const { epochs: masks } = await get<MasksIndex>('api/runs/long/masks');
    expect(masks.length).toBeLessThanOrEqual(2000);
    expect(masks.at(-1)?.epoch).toBe(5999);
    rmSync(path, { recursive: true });
  });
});

describe('embedding', () => {
  it('is described, with hostile class names as they are', async () => {
    const info = await get<EmbeddingInfo>('api/runs/plain/embedding');
    expect(info).toMatchObject({
      epoch: 3,
      numQueries: 24,
      numGallery: null,
      dim: 8,
      numLearners: 2,
      numClusters: 2,
    });
    expect(info).toMatchObject({ maxNeighbours: 20, hasImages: true });
    expect(info.classNames[1]).toBe(HOSTILE);
  });

  it('gives the neighbours of a query, in the full space and in a learner’s', async () => {
    const item = await get<RetrievalItem>('api/runs/plain/neighbours/0?k=5');
    const vectors = plain.vectors;
    const own = vectors[0] as number[];
    const expected = nearestByHand(own, vectors, 0).slice(0, 5);
    expect(item.neighbours.map(({ image }) => image.index)).toEqual(expected.map(({ index }) => index));
    expect(item.query).toEqual({
      set: 'query',
      index: 0,
      label: 0,
      name: '0-0.png',
      src: 'api/runs/plain/images/query/0',
    });
    expect(item.relevant).toBe(5);
    // It lies among class 1.
    expect(item.neighbours[0]).toMatchObject({ correct: false, image: { label: 1 } });

    const odd = (vector: number[]) => vector.map((value, d) => (d % 2 === 1 ? value : 0));
    const learner = await get<RetrievalItem>('api/runs/plain/neighbours/0?k=5&learner=1');
    const masked = nearestByHand(odd(own), vectors.map(odd), 0).slice(0, 5);
    expect(learner.neighbours.map(({ image }) => image.index)).toEqual(masked.map(({ index }) => index));
    for (const [rank, { distance }] of learner.neighbours.entries())
      expect(distance).toBeCloseTo(masked[rank]?.distance ?? -1, 5);
  });

  it('searches the gallery where there is one', async () => {
    const item = await get<RetrievalItem>('api/runs/gallery/neighbours/1?k=3');
    expect(withGallery.labels).toEqual([0, 1, 2, 3]);
    expect(item.relevant).toBe(5);
    expect(item.neighbours.every(({ image }) => image.set === 'gallery' && image.label === 1)).toBe(true);
    const learner = await get<RetrievalItem>('api/runs/gallery/neighbours/1?k=3&learner=1');
    expect(learner.neighbours.every(({ image }) => image.set === 'gallery' && image.label === 1)).toBe(true);
  });

  it("leaves a query's own file in the gallery out of its search, whichever learner searches", async () => {
    const path = join(folder, 'runs', 'own');
    const { vectors, labels } = plain;
    await writeRunFiles(path, { dataDir: join(folder, 'data') });
    const own = labels.map((_, i): [number, number] => [i, i]);
    writeEmbeddings(path, { epoch: 3, vectors, labels, gallery: { vectors, labels, own } });
    for (const query of [0, 13]) {
      for (const learner of ['', '&learner=1']) {
        const item = await get<RetrievalItem>(`api/runs/own/neighbours/${query}?k=5${learner}`);
        const alone = await get<RetrievalItem>(`api/runs/plain/neighbours/${query}?k=5${learner}`);
        expect(item.relevant).toBe(alone.relevant);
        expect(item.neighbours.map(({ image }) => image.index)).toEqual(
          alone.neighbours.map(({ image }) => image.index),
        );
      }
    }
    writeEmbeddings(path, { epoch: 3, vectors, labels, gallery: { vectors, labels, own: [[0, 24]] } });
    expect(await refused('api/runs/own/embedding')).toMatchObject({ code: 'damaged' });
    rmSync(path, { recursive: true });
  });

  it('pages through retrievals, worst first, at random and by class', async () => {
    const worst = await get<RetrievalPage>('api/runs/plain/retrieval?limit=100');
    expect(worst).toMatchObject({ total: 24, offset: 0 });
    // The two images that lie in another class.
    expect(
      worst.items
        .slice(0, 2)
        .map(({ query }) => query.index)
        .sort((a, b) => a - b),
    ).toEqual([0, 12]);
    const random = (seed: number, offset = 0) =>
      get<RetrievalPage>(`api/runs/plain/retrieval?order=random&seed=${seed}&limit=12&offset=${offset}`);
    const indices = ({ items }: RetrievalPage) => items.map(({ query }) => query.index);
    expect(indices(await random(1))).toEqual(indices(await random(1)));
    expect(indices(await random(1))).not.toEqual(indices(await random(2)));
    expect(new Set([...indices(await random(1)), ...indices(await random(1, 12))]).size).toBe(24);
    const some = await get<RetrievalPage>('api/runs/plain/retrieval?order=index&label=2&limit=2&offset=5');
    expect(some.total).toBe(6);
    expect(indices(some)).toEqual([17]);
  });

  it('counts recall by class and confused pairs', async () => {
    const { classes, confusions } = await get<ClassesAnswer>('api/runs/plain/classes');
    expect(classes).toHaveLength(4);
    expect(classes[0]).toMatchObject({ queries: 6, recallAt1: expect.closeTo(5 / 6, 9) });
    const first = classes.find(({ label }) => label === 0);
    expect(first?.mostConfusedWith).toBe(1);
    const pair = confusions.find(({ a, b }) => a === 0 && b === 1);
    expect(pair?.aAsB).toBe(1);
    expect(pair?.share).toBeCloseTo(((pair?.aAsB ?? 0) + (pair?.bAsA ?? 0)) / 12, 9);
    expect(pair?.example.query.label === 0 || pair?.example.query.label === 1).toBe(true);
  });

  it.each(['api/runs/plain/map', 'api/runs/plain/map?learner=1', 'api/runs/gallery/map'])(
    'is what the run keeps, in binary: %s',
    async (path) => {
      const map = await mapAt(path);
      const files = path.includes('gallery') ? withGallery : plain;
      expect(map.learner).toBe(path.includes('learner') ? 1 : 'full');
      expect([...map.labels]).toEqual(files.labels);
      const angles = files.labels.map(
        (_, i) => (path.includes('learner') ? 2 : 0) + (2 * Math.PI * i) / files.labels.length,
      );
      expect([...map.x]).toEqual(angles.map((angle) => Math.fround(Math.cos(angle))));
      expect([...map.y]).toEqual(angles.map((angle) => Math.fround(Math.sin(angle))));
      if (path.includes('gallery')) return;
      // The first image of class 0 lies among those of class 1.
      expect([map.correct[0], map.nearest[0], map.labels[0]]).toEqual([0, 1, 0]);
      expect([map.correct[1], map.nearest[1]]).toEqual([1, 0]);
    },
  );

  it('says which command makes one where the run keeps none, one of other embeddings, or a damaged one', async () => {
    const run = join(folder, 'runs', 'unmapped');
    await writeRunFiles(run, { dataDir: join(folder, 'data') });
    const says = async (words: RegExp, learner = 'full') => {
      const answer = await refused(`api/runs/unmapped/map?learner=${learner}`);
      expect(answer).toMatchObject({ status: 404, code: 'absent' });
      expect(answer.message).toMatch(words);
      expect(answer.message).toMatch(/conquer map \S*unmapped/);
    };
    const file = join(run, 'map-full.safetensors');
    copyFileSync(join(folder, 'runs/gallery/map-full.safetensors'), file);
    await says(/^The map that is kept is of earlier embeddings/);
    writeFileSync(file, 'x');
    await says(/^The map that is kept cannot be read: it is cut off/);
    rmSync(file);
    await says(/^This run keeps no map of its test images yet/);
    rmSync(join(run, 'map-learner-1.safetensors'));
    await says(/learners’ too\)$/, '1');
    rmSync(run, { recursive: true });
  });
});

describe('test images that could not be read', () => {
  const path = () => join(folder, 'runs', 'bad');
  /** The third image of class 1, which the second stands in for. */
  const bad = 8;
  let run: RunFiles;
  beforeAll(async () => {
    run = await writeRunFiles(path(), {
      dataDir: join(folder, 'bad-data'),
      experiment: { data: { onBadImage: 'skip' } },
    });
    writeFileSync(run.imagePaths[bad] as string, 'x');
  });
  afterAll(() => rmSync(path(), { recursive: true }));

  /** None of the views has it; what they say of the others is right. */
  async function isNowhere() {
    const info = await get<EmbeddingInfo>('api/runs/bad/embedding');
    expect(info).toMatchObject({ numQueries: 23, leftOut: 1, hasImages: true });
    const { items, total } = await get<RetrievalPage>('api/runs/bad/retrieval?order=index&k=30&limit=100');
    expect(total).toBe(23);
    const name = (image: number) => run.imagePaths[image]?.split('/').at(-1);
    const seen = items.flatMap(({ query, neighbours }) => [query, ...neighbours.map(({ image }) => image)]);
    expect(new Set(seen.map(({ name }) => name)).size).toBe(23);
    expect(seen.map(({ name }) => name)).not.toContain(name(bad));
    // The image that stood in for it finds others, and is shown by its own file.
    const second = items.find(({ query }) => query.name === name(7));
    expect(second?.relevant).toBe(4);
    expect(second?.neighbours[0]?.distance).toBeGreaterThan(0.001);
    const learner = await get<RetrievalPage>('api/runs/bad/retrieval?order=index&k=30&learner=1');
    expect(JSON.stringify(learner)).not.toContain(`"${name(bad)}"`);
    const { classes } = await get<ClassesAnswer>('api/runs/bad/classes');
    expect(classes.find(({ label }) => label === 1)?.queries).toBe(5);
    expect(await refused('api/runs/bad/images/query/23')).toMatchObject({ status: 404 });
    const map = await mapAt('api/runs/bad/map');
    expect([...map.labels]).toEqual(run.labels.filter((_, i) => i !== bad));
  }

  it('are left out of every view, as the run says', async () => {
    const rows = run.labels.map((_, i) => i).filter((i) => i !== bad);
    writeEmbeddings(path(), {
      epoch: 3,
      vectors: rows.map((i) => run.vectors[i] as number[]),
      labels: rows.map((i) => run.labels[i] as number),
      gallery: null,
      rows: { positions: rows, of: 24 },
    });
    await isNowhere();
  });

  it('are left out of a run of an older version, which wrote another image in their place', async () => {
    const vectors = run.vectors.with(bad, run.vectors[bad - 1] as number[]);
    writeEmbeddings(path(), { epoch: 3, vectors, labels: run.labels, gallery: null });
    await isNowhere();
  });

  it('do not show other images where the list has changed since', async () => {
    const rows = run.labels.map((_, i) => i).filter((i) => i !== bad);
    writeEmbeddings(path(), {
      epoch: 3,
      vectors: rows.map((i) => run.vectors[i] as number[]),
      labels: rows.map((i) => run.labels[i] as number),
      gallery: null,
      rows: { positions: rows, of: 25 },
    });
    expect(await get<EmbeddingInfo>('api/runs/bad/embedding')).toMatchObject({ hasImages: false });
  });

  it('says in words that embeddings are not finite, of whatever part', async () => {
    const write = (vectors: number[][]) =>
      writeEmbeddings(path(), { epoch: 3, vectors, labels: run.labels, gallery: null });
    write(run.vectors.with(3, new Array(8).fill(Number.NaN)));
    for (const view of ['embedding', 'map', 'classes', 'retrieval'])
      expect(await refused(`api/runs/bad/${view}`)).toMatchObject({
        status: 422,
        code: 'damaged',
        message: 'embeddings.safetensors cannot be read: a number in embeddings is NaN or infinite',
      });
    // Large ones are no fault.
    write(run.vectors.map((row) => row.map((value) => value * 1e30)));
    expect(
      (await get<RetrievalItem>('api/runs/bad/neighbours/1?learner=1')).neighbours[0]?.distance,
    ).toBeLessThan(2);
  });
});

describe('images', () => {
  it('are thumbnails of the run’s own list', async () => {
    const answer = await fetch(address('api/runs/plain/images/query/7?size=48'));
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('image/webp');
    const { format, width, height } = await sharp(Buffer.from(await answer.arrayBuffer())).metadata();
    expect([format, width, height]).toEqual(['webp', 40, 30]);
  });

  it('are asked for again each time, and sent again where the file is another', async () => {
    const url = address('api/runs/plain/images/query/7?size=48');
    const first = await fetch(url);
    await first.arrayBuffer();
    expect(first.headers.get('cache-control')).toContain('no-cache');
    const tag = first.headers.get('etag') as string;
    const again = () => fetch(url, { headers: { 'If-None-Match': tag } });
    expect((await again()).status).toBe(304);
    const shown = JSON.parse(readFileSync(join(folder, 'runs', 'plain', 'test-images.json'), 'utf8')).queries
      .paths[7];
    utimesSync(shown, new Date(), new Date(Date.now() + 5000));
    expect((await again()).status).toBe(200);
  });

  it('are not others', async () => {
    expect(await refused('api/runs/plain/images/query/24')).toMatchObject({ status: 404 });
    expect(await refused('api/runs/plain/images/gallery/0')).toMatchObject({ status: 404 });
    expect(await refused('api/runs/plain/images/query/7?size=4000')).toMatchObject({ status: 400 });
    expect(await refused('api/runs/plain/images/query/-1')).toMatchObject({ status: 400 });
    expect(await refused('api/runs/plain/images/query/%2e%2e%2fconfig.json')).toMatchObject({ status: 400 });
  });
});

describe('a hostile run folder', () => {
  it('shows no file outside of its data folder, whatever its list says', async () => {
    const secret = join(folder, 'secret.png');
    await sharp({ create: { width: 8, height: 8, channels: 3, background: '#f00' } })
      .png()
      .toFile(secret);
    const dataDir = join(folder, 'runs', 'hostile', 'data');
    const run = await writeRunFiles(join(folder, 'runs', 'hostile'), { dataDir });
    symlinkSync(secret, join(dataDir, 'link.png'));
    writeFileSync(
      join(dataDir, 'text.png'),
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    );
    const paths = [...run.imagePaths];
    const bad = [
      secret,
      join(dataDir, '../../../secret.png'),
      join(dataDir, 'link.png'),
      '/etc/passwd',
      `${dataDir}/text.png`,
      '',
      dataDir,
      '\0',
    ];
    paths.splice(0, bad.length, ...bad);
    const list = { paths, labels: run.labels, classNames: ['a', 'b', 'c', 'd'] };
    writeFileSync(join(run.path, 'test-images.json'), JSON.stringify({ queries: list, gallery: null }));
    for (const [index, path] of paths.entries()) {
      const answer = await fetch(address(`api/runs/hostile/images/query/${index}`));
      expect(answer.status, path).toBe(index < bad.length ? 404 : 200);
    }
    rmSync(run.path, { recursive: true });
  });

  it('survives broken and huge lines, wrong types and missing files', async () => {
    const path = join(folder, 'runs', HOSTILE.replaceAll('/', '∕'));
    mkdirSync(path);
    writeFileSync(
      join(path, 'config.json'),
      `{"format": 3, "train": {"epochs": "many"}, "__proto__": {"x": 1}, "lr": {"a": []}, "b": ${JSON.stringify(HOSTILE)}}`,
    );
    const lines = [
      '{"epoch": 0, "metrics": {"R@1": 0.5, "x": null, "__proto__": 3}, "learningRates": [1], "seconds": 4}',
      'not json',
      '{"epoch": 0, "metrics": {"R@1": "1"}}',
      '{"epoch": "0"}',
      'null',
      '[1]',
      `{"epoch": 1, "x": "${'y'.repeat(17 << 20)}"}`,
      '{"epoch": 2, "metrics": null, "collapsed": true}',
      '{"epoch": 3, "metr',
    ];
    writeFileSync(join(path, 'metrics.jsonl'), lines.join('\n'));
    writeFileSync(
      join(path, 'divisions.jsonl'),
      '{"epoch":0,"numClusters":1e9,"sizes":[],"classCounts":[]}\n{"epoch":0,"numClusters":2,"sizes":[1,1],"classCounts":[1,1],"clusters":[0,7]}\n',
    );
    writeFileSync(join(path, 'masks.jsonl'), '{"epoch":0,"masks":[[1],[1,2]]}\n{"epoch":0,"masks":[]}\n');
    writeFileSync(
      join(path, 'steps.jsonl'),
      '{"epoch":0,"step":1e400,"steps":1}\n{"epoch":0,"step":1,"steps":2,"metricLoss":"x"}\n',
    );
    writeFileSync(join(path, 'summary.json'), '[]');
    writeFileSync(join(path, 'running.json'), '{"pid": -1}');
    writeFileSync(join(path, 'embeddings.safetensors'), Buffer.alloc(64, 255));
    const { runs } = await get<RunsAnswer>('api/runs');
    const run = runs.find(({ settings }) => settings.b === HOSTILE);
    const id = encodeURIComponent(run?.id ?? '');
    const detail = await get<RunDetail>(`api/runs/${id}`);
    expect(detail.of).toBeNull();
    expect(detail.records.map(({ epoch }) => epoch)).toEqual([0, 2]);
    expect(detail.records.map(({ collapsed }) => collapsed)).toEqual([undefined, true]);
    expect(detail.divisions).toEqual([]);
    expect(detail.steps).toHaveLength(1);
    expect(detail.problems).toEqual([
      'metrics.jsonl: 6 damaged lines are left out',
      'steps.jsonl: 1 damaged line is left out',
      'divisions.jsonl: 2 damaged lines are left out',
      'masks.jsonl: 2 damaged lines are left out',
    ]);
    expect(await refused(`api/runs/${id}/embedding`)).toMatchObject({ status: 422, code: 'damaged' });
    writeFileSync(join(path, 'config.json'), 'password=1');
    const again = await get<RunDetail>(`api/runs/${id}`);
    expect(again.status).toBe('damaged');
    expect(JSON.stringify(again)).not.toContain('password');
    // Its settings are not known: they do not differ from the others'.
    expect((await get<RunsAnswer>('api/runs')).differing).toEqual(['optimize.learningRate']);
    rmSync(path, { recursive: true });
    expect(await refused(`api/runs/${id}`)).toMatchObject({ status: 404, code: 'unknown' });
  });

  it('is not shown when it is a link to elsewhere, nor are linked files read', async () => {
    const outside = await writeRunFiles(join(folder, 'outside'), { dataDir: join(folder, 'data') });
    symlinkSync(outside.path, join(folder, 'runs', 'linked'));
    const path = join(folder, 'runs', 'files');
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), '{"epochs": 1}');
    symlinkSync(join(outside.path, 'metrics.jsonl'), join(path, 'metrics.jsonl'));
    const { runs } = await get<RunsAnswer>('api/runs');
    expect(runs.map(({ id }) => id)).not.toContain('linked');
    expect(runs.find(({ id }) => id === 'files')?.epochs).toBe(0);
    rmSync(join(folder, 'runs', 'linked'));
    rmSync(path, { recursive: true });
  });

  it('serves nothing by a path that leads out', async () => {
    for (const path of [
      '/../package.json',
      '/%2e%2e/%2e%2e/etc/passwd',
      '/assets/../../../package.json',
      '/..%2f..%2fetc%2fpasswd',
      '//etc/passwd',
      '/api/runs/../../../etc/passwd',
      '/api/runs/..%2f..%2foutside',
      '/api/runs/%2e%2e',
      '/api/runs/plain%00',
      '/api/runs/plain/images/query/..%2f..%2fconfig.json',
      '/api/runs/%E0%A4%A',
    ]) {
      const { status, body } = await raw(path, { host: 'localhost' });
      expect(status, path).toBeGreaterThanOrEqual(400);
      expect(status, path).toBeLessThan(500);
      expect(body, path).not.toMatch(/root:|"name"/);
    }
  });
});

describe('access', () => {
  it('has a policy against foreign scripts on every answer', async () => {
    for (const path of ['', 'api/runs', 'api/nothing']) {
      const { headers } = await fetch(address(path));
      expect(headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self'/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    }
  });

  it('refuses other host names (DNS rebinding)', async () => {
    for (const host of [
      'evil.example',
      `evil.example:${dashboard.port}`,
      '127.0.0.1.evil.example',
      'localhost.',
    ]) {
      expect((await raw('/api/runs', { host })).status, host).toBeGreaterThanOrEqual(400);
    }
    for (const host of [`localhost:${dashboard.port}`, '127.0.0.1', '[::1]:1234'])
      expect((await raw('/api/runs', { host })).status, host).toBe(200);
  });

  it('listens on loopback unless told otherwise, and then wants a token', async () => {
    expect(dashboard.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const open = await serveDashboard({ runsDir: join(folder, 'runs'), host: '0.0.0.0', port: 0 });
    try {
      const base = `http://127.0.0.1:${open.port}/`;
      expect(open.token).toMatch(/^[\w-]{20,}$/);
      expect(open.url).toContain(`?token=${open.token}`);
      for (const path of [
        '',
        'api/runs',
        'api/events',
        'api/runs?token=wrong',
        `api/runs?token=${open.token}x`,
        'api/runs?token=',
      ])
        expect((await fetch(base + path)).status, path).toBe(403);
      const wrong = await fetch(`${base}api/runs`, { headers: { cookie: `conquer-${open.port}=wrong` } });
      expect(wrong.status).toBe(403);
      const entered = await fetch(`${base}?token=${open.token}`, { redirect: 'manual' });
      expect(entered.status).toBe(303);
      expect(entered.headers.get('location')).toBe('./');
      const cookie = entered.headers.get('set-cookie') ?? '';
      expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
      const answer = await fetch(`${base}api/runs`, { headers: { cookie: cookie.split(';')[0] ?? '' } });
      expect(answer.status).toBe(200);
    } finally {
      await open.close();
    }
  });

  it('says in one line what is wrong with its options', async () => {
    const runsDir = join(folder, 'runs');
    await expect(serveDashboard({ runsDir, host: '0.0.0.0', port: 0, token: 'short' })).rejects.toThrow(
      /^expected a token of at least 16/,
    );
    await expect(serveDashboard({ runsDir: join(folder, 'none') })).rejects.toThrow(
      /expected a run or a folder of runs/,
    );
    await expect(serveDashboard({ runsDir, port: dashboard.port })).rejects.toThrow(
      /is taken: choose another/,
    );
  });
});

describe('events', () => {
  it('tell what is appended, cut back, and that embeddings are new', async () => {
    const path = join(folder, 'runs', 'live');
    const live = await writeRunFiles(path, { dataDir: join(folder, 'data'), of: 9 });
    const run = await get<RunDetail>('api/runs/live');
    expect(run.status).toBe('cut off');
    const abort = new AbortController();
    const answer = await fetch(address('api/events'), { signal: abort.signal });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = (answer.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    let text = '';
    /** Reads until there is an event of this type that fits. */
    const next = async (type: string, fits: (event: Record<string, unknown>) => boolean) => {
      for (;;) {
        for (const block of text.split('\n\n')) {
          const data = block.startsWith(`event: ${type}\n`) ? block.slice(block.indexOf('data: ') + 6) : null;
          const event = data === null || !text.includes(`${block}\n\n`) ? null : JSON.parse(data);
          if (event && fits(event)) return event;
        }
        const { value, done } = await reader.read();
        if (done) throw new Error(`the stream ended before ${type}`);
        text += value;
      }
    };
    appendFileSync(join(path, 'metrics.jsonl'), '{"epoch": 4, "metr');
    await new Promise((done) => setTimeout(done, 150));
    appendFileSync(join(path, 'metrics.jsonl'), 'ics": {"R@1": 0.9}}\n');
    const half = await next('append', ({ run, records }) => run === 'live' && records !== undefined);
    expect(half.records).toEqual({
      at: run.lines.records,
      lines: [{ epoch: 4, metrics: { 'R@1': 0.9 }, seconds: {} }],
    });
    const listed = await next('runs', ({ runs }) => JSON.stringify(runs).includes('0.9'));
    expect(listed.runs.find(({ id }: { id: string }) => id === 'live').best.epoch).toBe(4);

    appendEpoch(path, 5, { 'R@1': 0.2 });
    const masks = await next('append', (event) => event.run === 'live' && event.masks !== undefined);
    expect(masks.masks).toEqual({ at: run.lines.masks, epochs: [5] });

    writeEmbeddings(path, {
      epoch: 5,
      vectors: live.vectors.toReversed(),
      labels: live.labels,
      gallery: null,
    });
    const { version } = await next('embedding', (event) => event.run === 'live');
    expect((await get<EmbeddingInfo>('api/runs/live/embedding')).version).toBe(version);

    writeFileSync(join(path, 'metrics.jsonl'), '{"epoch": 0, "metrics": {"R@1": 0.1}}\n');
    await next('reset', (event) => event.run === 'live');
    expect((await get<RunDetail>('api/runs/live')).records).toHaveLength(1);
    abort.abort();
    rmSync(path, { recursive: true });
  });
});
