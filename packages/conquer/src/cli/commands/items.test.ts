import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { RunFolder } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
import { ImageIndex } from '../../retrieve/image-index.js';
import { openIndex } from '../../retrieve/open-index.js';
import { drawnExperiment, drawnRun } from '../../testing/saved-run.js';
import { runDuplicates } from './duplicates.js';
import { runGroup } from './group.js';
import { runIndex } from './index-images.js';
import { type ItemsCommand, runItems } from './items.js';
import { runSearch } from './search.js';

let folder: string;
let run: string;
const at = (...parts: string[]) => join(folder, ...parts);

/** Takes what is printed. */
class Printed extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

const draw = (path: string, hue: number, x = 20) =>
  writeFileSync(path, discSvg({ width: 40, x, y: 16, r: 8, fill: `hsl(${hue},90%,50%)` }));

async function items(options: Partial<ItemsCommand>): Promise<string> {
  const out = new Printed();
  await runItems({ index: at('shop.index'), out, progress: new Printed(), ...options });
  return out.text;
}

beforeAll(async () => {
  folder = temporaryFolder();
  run = drawnRun(at('run'), drawnExperiment());
  mkdirSync(at('shop', 'shoes'), { recursive: true });
  for (const [i, name] of ['front', 'back', 'side'].entries())
    draw(at('shop', 'shoes', `${name}.svg`), 40 * i);
  draw(at('shop', 'hat.svg'), 200);
  draw(at('shop', 'same hat.svg'), 200);
  writeFileSync(
    at('shop', 'list.csv'),
    'path,id,label,price\nshoes/front.svg,sku-1,shoes,40\nshoes/back.svg,sku-1,footwear,\n"shoes/side.svg",sku-1,shoes,\nhat.svg,sku-2,hats,7\n',
  );
  const fixed = { checkpoint: 'best', threads: null, onBadImage: 'skip', json: true } as const;
  const out = new Printed();
  const command = { run, folder: at('shop', 'list.csv'), file: at('shop.index'), ...fixed, out };
  await runIndex({ ...command, progress: new Printed() });
  expect(JSON.parse(out.text)).toMatchObject({ items: 2, images: 4, embedded: 4 });
  const again = new Printed();
  await runIndex({ ...command, out: again, progress: new Printed() });
  expect(JSON.parse(again.text)).toMatchObject({ items: 2, images: 4, embedded: 0 });
}, 60_000);

it('items of a CSV file have several images, labels and a payload, and are added and removed', async () => {
  const [first, second] = (await items({})).trim().split('\n');
  expect(JSON.parse(first!)).toMatchObject({
    id: 'sku-1',
    labels: ['shoes', 'footwear'],
    payload: { price: '40' },
    images: [{ path: 'shoes/front.svg' }, { path: 'shoes/back.svg' }, { path: 'shoes/side.svg' }],
  });
  expect(JSON.parse(second!)).toMatchObject({ id: 'sku-2', labels: ['hats'], payload: { price: '7' } });

  const both = [at('shop', 'same hat.svg'), at('shop', 'hat.svg')];
  expect(await items({ add: both, id: 'sku-3', label: ['hats'], payload: '{"price": 8}' })).toMatch(
    /3 items with 6 images/,
  );
  const out = new Printed();
  const query = { file: at('shop.index'), images: [at('shop', 'hat.svg')], top: '2', json: true, out };
  await runSearch({ ...query, warnings: new Printed() });
  await runSearch({ ...query, per: 'image', top: '3', warnings: new Printed() });
  const [byItem, byImage] = out.text
    .trim()
    .split('\n')
    .map(
      (line) => (JSON.parse(line) as { matches: { id: string; image: number; payload: object }[] }).matches,
    );
  // One drawing, three times; but embedded in batches of other sizes, whose rounding says which of them is the nearest.
  expect(byItem!.map(({ id }) => id).toSorted()).toEqual(['sku-2', 'sku-3']);
  const found = byImage!.map(({ id, image }) => `${id} ${image}`);
  expect(found.toSorted()).toEqual(['sku-2 0', 'sku-3 0', 'sku-3 1']);
  // Those of one batch are equal: the one that was added first comes first.
  expect(found.indexOf('sku-3 0')).toBeLessThan(found.indexOf('sku-3 1'));
  expect(byItem!.find(({ id }) => id === 'sku-3')!.payload).toEqual({ price: 8 });

  expect(await items({ remove: ['sku-3'], compact: true, check: true })).toMatch(/2 items with 4 images/);
  await expect(items({ remove: ['sku-3'] })).rejects.toThrow(/--remove: .* has no item sku-3; conquer items/);
  await expect(items({ id: 'x' })).rejects.toThrow(/--id: expected --add with it/);
  await expect(items({ add: [at('gone.png')] })).rejects.toThrow(
    /--add .*gone\.png: it cannot be read \(ENOENT\)/,
  );
  writeFileSync(at('text.jpg'), 'no image');
  await expect(items({ add: [...both, at('text.jpg')] })).rejects.toThrow(
    /^--add .*text\.jpg: it is no image: /,
  );
  await expect(items({ add: both, payload: '{' })).rejects.toThrow(/--payload: expected JSON/);
  await expect(items({ index: at('nowhere'), remove: ['x'] })).rejects.toThrow(/expected an index/);
  for (const [store, option, instead] of [
    [
      'sqlite:a.db',
      { check: true },
      /^--check: .* in a store; sqlite3 a\.db 'pragma integrity_check' checks it$/,
    ],
    ['sqlite:a.db', { compact: true }, /^--compact: .* in a store; sqlite3 a\.db vacuum/],
    ['lancedb:a', { check: true }, /^--check: .*; it has no checksums; conquer items lancedb:a reads all/],
    ['pgvector:postgres://a/b', { check: true }, /^--check: .*pg_amcheck/],
    ['sqlite:a.db', { merge: 'b.index' }, /^--merge: .*; add its images with --add/],
  ] as const)
    await expect(items({ index: store, ...option })).rejects.toThrow(instead);
});

it('says the class of an image, and searches by a graph once there is one', async () => {
  const out = new Printed();
  const query = { file: at('shop.index'), images: [at('shop', 'hat.svg')], top: '2', json: true, out };
  const voted = new Printed();
  await runSearch({ ...query, classify: true, out: voted, warnings: new Printed() });
  await runSearch({ ...query, classify: true, json: false, out: voted, warnings: new Printed() });
  const [json, ...words] = voted.text.split('\n');
  expect(JSON.parse(json!).class).toMatchObject({ label: 'hats', confidence: expect.any(Number) });
  expect(words[1]).toMatch(/^ {2}class hats, \d+ % of the votes$/);
  await expect(runSearch({ ...query, approximate: true, warnings: new Printed() })).rejects.toThrow(
    /^--approximate: .* has no graph; conquer items .* --graph builds one/,
  );
  expect(await items({ graph: true })).toMatch(
    /its graph finds 99 % or more of the 10 nearest, seen in 1 query: conquer search --approximate\n$/,
  );
  const approximate = new Printed();
  await runSearch({ ...query, approximate: true, out: approximate, warnings: new Printed() });
  await runSearch({ ...query, out, warnings: new Printed() });
  expect(approximate.text).toBe(out.text);
});

it('a program gives bytes and gets items, and classes by a vote', async () => {
  using index = await openIndex(at('shop.index'));
  const [hat] = await index.search(at('shop', 'same hat.svg'), { k: 1 });
  expect(hat).toMatchObject({ id: 'sku-2', path: at('shop', 'hat.svg') });
  expect(hat!.similarity).toBeCloseTo(1, 6);
  const { label, confidence } = await index.classify(at('shop', 'hat.svg'), { k: 1 });
  expect([label, confidence]).toEqual(['hats', 1]);
  // The run's weights by themselves are the same model.
  cpSync(RunFolder.open(run).bestCheckpoint, at('weights.safetensors'));
  using byFile = await openIndex(at('shop.index'), { model: at('weights.safetensors') });
  expect((await byFile.search(at('shop', 'hat.svg'), { k: 1 }))[0]).toMatchObject({ id: 'sku-2' });
  const other = drawnRun(at('other'), drawnExperiment(), 2);
  await expect(openIndex(at('shop.index'), { model: other })).rejects.toThrow(/made with other weights/);
});

it('what is the same and what belongs together is found in a folder and in an index', async () => {
  const flags = { model: run, json: true, progress: new Printed() };
  const pairs = new Printed();
  await runDuplicates({ photos: at('shop'), ...flags, minSimilarity: '0.99999', out: pairs });
  expect(
    pairs.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object),
  ).toEqual([
    {
      first: { id: 'hat.svg', image: 0, path: at('shop', 'hat.svg') },
      second: { id: 'same hat.svg', image: 0, path: at('shop', 'same hat.svg') },
      similarity: expect.closeTo(1, 6),
    },
  ]);
  const groups = new Printed();
  await runGroup({ photos: at('shop'), ...flags, json: false, minSimilarity: '0.99999', out: groups });
  expect(groups.text).toBe(
    `group 1, 2 images\n  ${at('shop', 'hat.svg')}\n  ${at('shop', 'same hat.svg')}\n1 groups, 3 images alone\n`,
  );
  const none = new Printed();
  await runDuplicates({ photos: at('shop.index'), ...flags, minSimilarity: '0.99999', out: none });
  expect(none.text).toBe(''); // images of one item are no pair
  await expect(
    runDuplicates({ photos: at('shop'), ...flags, minSimilarity: '2', out: none }),
  ).rejects.toThrow(/--min-similarity: expected a number from -1 to 1, got '2'/);
  using opened = ImageIndex.open(at('shop.index'));
  expect(opened.count).toBe(2);
});
