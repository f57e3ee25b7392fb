import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { pairLines, writePatternedPhotos } from '../testing/patterned-photos.js';

// What is measured and found of photos by the program: pairs, protocols of queries and galleries, re-ranking, several views.

const [THINGS, VIEWS] = [12, 6];
let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'photos'));
  await writePatternedPhotos(join(folder, 'photos'), THINGS, VIEWS);
  const half = THINGS / 2;
  const pairs = [
    ...pairLines({ from: 0, count: half }, VIEWS, 90, ',train'),
    ...pairLines({ from: half, count: half }, VIEWS, 60, ',test'),
  ];
  writeFileSync(join(folder, 'photos/pairs.csv'), pairs.join('\n'));
});

async function run(...args: string[]) {
  const ended = await conquer(args, { folder });
  return { ...ended, lines: ended.stdout.trim().split('\n') };
}
const json = ({ stdout, stderr, code }: Awaited<ReturnType<typeof run>>) => {
  expect(stderr.includes('conquer:') ? stderr : '').toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout.trim().split('\n')[0]!);
};
const small =
  '--arch small-resnet --widths 8,16 --embedding-dim 16 --image-size 16 --resize 16 --num-learners 1 --epochs 2 --batch-size 24 --threads 1 --lr 0.003'.split(
    ' ',
  );

it('trains on pairs and measures them, with the ROC and the distances in files', async () => {
  const data = ['--dataset', 'pairs', '--dataset-dir', 'photos/pairs.csv'];
  const trained = await run('train', ...data, ...small, '--name', 'pairs');
  expect(trained.code, trained.stderr).toBe(0);
  const { metrics } = json(await run('eval', 'runs/pairs', '--json', '--tables', 'tables'));
  expect(metrics['ROC-AUC']).toBeGreaterThan(0.6);
  expect(Object.keys(metrics)).toContain('FNMR@FMR0.01');
  const roc = readFileSync(join(folder, 'tables/pairs/test/roc.csv'), 'utf8').trim().split('\n');
  expect(roc[0]).toBe('distance,falseMatch,trueMatch');
  expect(roc.at(-1)).toBe('Infinity,1,1');
  const counts = readFileSync(join(folder, 'tables/pairs/test/distances.csv'), 'utf8').trim().split('\n');
  const columns = counts.slice(1).map((line) => line.split(',').map(Number));
  expect(columns).toHaveLength(40);
  expect(columns.reduce((sum, [, , same]) => sum + same!, 0)).toBe(30);
  expect(columns.reduce((sum, [, , , different]) => sum + different!, 0)).toBe(30);
  expect(existsSync(join(folder, 'tables/pairs/test/classes.csv'))).toBe(false);
  const refused = await run('eval', 'runs/pairs', '--rerank', 'yes');
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringMatching(/pairs are compared by themselves/),
  ]);
  const calibrated = await run('calibrate', 'runs/pairs');
  expect(calibrated.code, calibrated.stderr).toBe(0);
  expect(existsSync(join(folder, 'runs/pairs/calibration.json'))).toBe(true);
});

describe('a protocol of queries and a gallery', () => {
  const evaluate = (file: string, ...more: string[]) =>
    run('eval', '--model', 'runs/pairs', '--dataset', 'csv', '--dataset-dir', file, '--json', ...more);
  /** Things 6…: the first two views are queries; the last two things are in the gallery alone, and thing 6 is not in it. */
  beforeAll(() => {
    const lines = ['path,label,category,role'];
    for (let thing = 6; thing < THINGS; thing++)
      for (let view = 0; view < VIEWS; view++) {
        const role = view < 2 && thing < 10 ? 'query' : 'gallery';
        if (role === 'gallery' && thing === 6) continue;
        lines.push(`${thing}-${view}.png,t${thing},"kind ${thing % 2}, so called",${role}`);
      }
    writeFileSync(join(folder, 'photos/protocol.csv'), lines.join('\n'));
  });

  it('is measured of any model, its classes and categories in files', async () => {
    const evaluated = await evaluate(
      'photos/protocol.csv',
      '--metrics',
      'usual,CMC@5,MAP,mINP,P@30',
      '--tables',
      'tables',
    );
    const { metrics } = json(evaluated);
    expect(evaluated.stderr).toMatch(
      /2 of 8 queries have no match in the gallery and count as misses: R@k cannot pass 75\.0 %/,
    );
    // 28 images in the gallery: k beyond is all of it.
    for (const [name, value] of Object.entries(metrics))
      if (!/SE|std|k-means/.test(name)) {
        expect(value, name).toBeGreaterThanOrEqual(0);
        expect(value, name).toBeLessThanOrEqual(1);
      }
    const classes = readFileSync(join(folder, 'tables/pairs/query/classes.csv'), 'utf8').trim().split('\n');
    expect(classes).toHaveLength(5);
    const [head, ...rows] = classes.map((line) => line.split(','));
    expect(head!.slice(0, 3)).toEqual(['class', 'queries', 'R@1']);
    expect(rows.map(([name, queries]) => [name, queries])).toEqual(
      [6, 7, 8, 9].map((thing) => [`t${thing}`, '2']),
    );
    // The class that the gallery has not.
    expect(rows[0]![2]).toBe('0');
    const mean = rows.reduce((sum, row) => sum + Number(row[2]), 0) / 4;
    expect(mean).toBeCloseTo(metrics['R@1'], 12);
    const categories = readFileSync(join(folder, 'tables/pairs/query/categories.csv'), 'utf8');
    expect(categories).toMatch(/^category,queries,R@1.*\n"kind 0, so called",4,/);
  });

  it('is re-ranked, expanded, and looked at several times', async () => {
    const plain = json(await evaluate('photos/protocol.csv', '--metrics', 'MAP')).metrics.MAP;
    const found: number[] = [];
    for (const more of [
      ['--rerank', '4,2,0.3'],
      ['--expand', 'both,3,1'],
      ['--flips', '--crops', '5'],
    ])
      found.push(json(await evaluate('photos/protocol.csv', '--metrics', 'MAP', ...more)).metrics.MAP);
    for (const map of found) expect(map).toBeGreaterThan(0.2);
    expect(new Set([plain, ...found]).size).toBe(4);
    const wrong = await evaluate('photos/protocol.csv', '--rerank', '0,2,0.3');
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/--rerank: expected yes, or k1,k2,lambda/),
    ]);
  });

  it('that cannot find anything is refused, and trains nothing', async () => {
    writeFileSync(
      join(folder, 'photos/nothing.csv'),
      'path,label,role\n6-0.png,a,query\n7-0.png,b,gallery\n8-0.png,c,gallery',
    );
    const refused = await evaluate('photos/nothing.csv');
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/queries whose class is in the gallery, found none/),
    ]);
    const training = await run(
      'train',
      '--dataset',
      'csv',
      '--dataset-dir',
      'photos/protocol.csv',
      ...small,
      '--name',
      'none',
    );
    expect([training.code, training.stderr]).toEqual([2, expect.stringMatching(/nothing to train on/)]);
  });
});

it('searches an index again: re-ranked, expanded, of an augmented gallery', async () => {
  mkdirSync(join(folder, 'shop'));
  for (let thing = 0; thing < THINGS; thing++)
    for (let view = 1; view < VIEWS; view++)
      cpSync(join(folder, `photos/${thing}-${view}.png`), join(folder, `shop/${thing}-${view}.png`));
  expect((await run('index', 'runs/pairs', 'shop', '--out', 'shop.index')).code).toBe(0);
  const search = async (...more: string[]) =>
    json(await run('search', 'shop.index', 'photos/7-0.png', '--top', '60', '--json', ...more)).matches.map(
      ({ id, similarity }: { id: string; similarity: number }) => ({ id, similarity }),
    ) as { id: string; similarity: number }[];
  const plain = await search();
  const refined = [await search('--rerank', 'yes'), await search('--expand', 'queries,5,1')];
  const of = (matches: typeof plain) => new Map(matches.map(({ id, similarity }) => [id, similarity]));
  for (const matches of refined) {
    expect(matches.map(({ id }) => id).join()).not.toBe(plain.map(({ id }) => id).join());
    for (const [id, similarity] of of(plain)) expect(of(matches).get(id)).toBeCloseTo(similarity, 6);
  }
  expect(await search('--expand', 'both,4,1')).toHaveLength(60);
  const apart = await run('search', 'shop.index', 'photos/7-0.png', '--expand', 'gallery', '--approximate');
  expect(apart.code).toBe(2);
  expect(apart.stderr).toMatch(
    /^conquer: --expand: expected queries beside --approximate, got gallery; .* leave out one of them$/m,
  );
  const joint = await run('search', 'shop.index', 'photos/7-0.png', '--expand', 'joint');
  expect([joint.code, joint.stderr]).toEqual([2, expect.stringMatching(/expected queries, gallery or both/)]);
});

it('embeds with mirror images, crops and a prefix, as an index does', async () => {
  const embed = async (out: string, ...more: string[]) =>
    json(await run('embed', 'shop', '--model', 'runs/pairs', '--out', out, '--json', ...more));
  const plain = await embed('plain.jsonl');
  const twice = await embed('twice.jsonl', '--flips', '--crops', '5', '--prefix', '4');
  expect([plain.dim, twice.dim]).toEqual([16, 4]);
  expect(twice.embedder).toBe(`${plain.embedder}#flips,crops=5,prefix=4`);
  const index = await run(
    'index',
    'runs/pairs',
    'shop',
    '--out',
    'twice.index',
    '--flips',
    '--crops',
    '5',
    '--prefix',
    '4',
  );
  expect(index.code, index.stderr).toBe(0);
  const first = JSON.parse(readFileSync(join(folder, 'twice.jsonl'), 'utf8').split('\n')[0]!);
  const length = Math.hypot(...first.embedding);
  expect(length).toBeCloseTo(1, 5);
  const found = json(await run('search', 'twice.index', `shop/${first.id}`, '--top', '1', '--json')).matches;
  expect(found[0].id).toBe(first.id);
  expect(found[0].similarity).toBeCloseTo(1, 6);
});
