import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { type Place, STORE_KINDS } from '../testing/store-kinds.js';
import { type AnyIndex, openAnyIndex } from './any-index.js';
import { ImageIndex } from './image-index.js';
import { searchLabelled } from './search-where.js';
import { StoreIndex } from './store-index.js';

const DIM = 16;

function rowsOf(count: number, seed: number, dim = DIM): Float32Array[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => Float32Array.from({ length: dim }, () => random.next() - 0.5));
}

/** Rows around a few centres. */
function clustered(count: number, seed: number, dim: number): Float32Array[] {
  const centres = rowsOf(100, 0, dim);
  return rowsOf(count, seed, dim).map((row, at) => row.map((x, d) => x * 0.5 + centres[at % 100]![d]!));
}

const made: AnyIndex[] = [];

async function create(address: string, dim = DIM): Promise<AnyIndex> {
  if (!address.startsWith('usearch:')) return kept(await StoreIndex.openOrCreate(address, dim));
  const index = ImageIndex.empty(dim);
  await keep(index, address);
  return kept(index);
}

function kept<Index extends AnyIndex>(index: Index): Index {
  made.push(index);
  return index;
}

/** A store has kept everything already but a calibration. */
async function keep(index: AnyIndex, address: string): Promise<void> {
  await index.save(address.slice('usearch:'.length));
}

async function idsOf(index: AnyIndex): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of index.items()) ids.push(id);
  return ids;
}

async function reopened(index: AnyIndex, address: string): Promise<AnyIndex> {
  await keep(index, address);
  await closed(index);
  return kept(await openAnyIndex(address, { write: true }));
}

async function closed(index: AnyIndex): Promise<void> {
  made.splice(made.indexOf(index), 1);
  await index.dispose();
}

describe.each(STORE_KINDS)('$kind', { timeout: 120_000 }, ({ start }) => {
  let place: Place;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    ({ place, stop } = await start());
  }, 120_000);
  afterAll(async () => {
    for (const index of [...made]) await closed(index);
    await stop();
  }, 60_000);

  it('keeps ids of 64 bits, and whatever texts are', async () => {
    const ids = [
      '9007199254740992',
      '9007199254740993',
      '18446744073709551615',
      "o'hara; --",
      'å/"漢" 🦊',
      '%_\\',
    ];
    let index = await create(place('ids'));
    const rows = rowsOf(ids.length, 1);
    await index.add(
      rows,
      ids.map((id) => ({ id, labels: [`${id}'s`], payload: { id, big: 2 ** 53 } })),
    );
    index = await reopened(index, place('ids'));
    for (const [at, id] of ids.entries()) {
      const match = (await index.search([rows[at]!], 1))[0]![0];
      expect(match).toMatchObject({ id, labels: [`${id}'s`], payload: { id, big: 2 ** 53 }, similarity: 1 });
      expect((await index.item(id))?.id).toBe(id);
      const [labelled] = await searchLabelled(index, [rows[0]!], 5, `${id}'s`);
      expect(labelled!.map((one) => one.id)).toEqual([id]);
    }
    await closed(index);
  });

  it('says the same similarities as an exact search of an index of conquer’s own', async () => {
    const rows = rowsOf(300, 2);
    const items = Array.from({ length: 150 }, (_, at) => ({ id: `i${at}`, images: 2, labels: `c${at % 7}` }));
    const own = kept(ImageIndex.of(rows, items));
    const index = await create(place('similar'));
    await index.add(rows, items);
    const queries = rowsOf(8, 3).map((row, at) => row.map((x) => x * 10 ** (at - 4)));
    for (const per of ['item', 'image'] as const)
      expect(await index.search(queries, 12, { per })).toEqual(own.search(queries, 12, { per }));
    const [q, opposite] = [rows[0]!, rows[0]!.map((x) => -x)];
    const [found] = await index.search([q], 1);
    expect(found).toMatchObject([{ id: 'i0', image: 0, similarity: 1 }]);
    const all = (await index.search([opposite], 300, { per: 'image' }))[0]!;
    expect(all).toHaveLength(300);
    expect(all.at(-1)).toMatchObject({ id: 'i0', image: 0, similarity: -1 });
    // Items by a label, against all of them looked through.
    const [wanted] = own.search([q], 300).map((some) => some.filter(({ labels }) => labels[0] === 'c3'));
    expect(await searchLabelled(index, [q], 9, 'c3')).toEqual([wanted!.slice(0, 9)]);
    expect(await searchLabelled(index, [q], 9, 'nothing')).toEqual([[]]);
    await closed(own);
    await closed(index);
  });

  it('of equally near ones names those first that were added first', async () => {
    const index = await create(place('ties'));
    const row = rowsOf(1, 4)[0]!;
    for (const id of ['z', 'a', 'm'])
      await index.add([row, row.map((x) => x * 4)], [{ id: `${id}1` }, { id }]);
    const [found] = await index.search([row], 6);
    expect(found!.map(({ id }) => id)).toEqual(['z1', 'z', 'a1', 'a', 'm1', 'm']);
    await closed(index);
  });

  it('is made anew where there is an empty one of another length', async () => {
    const address = place('empty');
    if (address.startsWith('usearch:')) return;
    await closed(await create(address, DIM));
    const index = await create(address, 2 * DIM);
    expect(index.dim).toBe(2 * DIM);
    await index.add(rowsOf(1, 1, 2 * DIM), [{ id: 'a' }]);
    await closed(index);
    const there = await create(address, DIM);
    expect([there.dim, there.count]).toEqual([2 * DIM, 1]);
    await closed(there);
  });

  it('updates, removes, and gives no more than there is', async () => {
    let index = await create(place('updates'));
    const [a, b, c, d] = rowsOf(4, 5) as [Float32Array, Float32Array, Float32Array, Float32Array];
    await index.add([a, b], [{ id: 'one', labels: 'x' }, { id: 'two' }]);
    await index.update([c, d], [{ id: 'one', labels: 'y', images: 2 }]);
    await expect((async () => await index.add([a], [{ id: 'two' }]))()).rejects.toThrow(
      /two is there already/,
    );
    index = await reopened(index, place('updates'));
    expect([index.count, index.imageCount]).toEqual([2, 3]);
    expect(await searchLabelled(index, [a], 5, 'x')).toEqual([[]]);
    const [found] = await index.search([d], 4097);
    expect(found!.map(({ id, image }) => [id, image])).toEqual(
      found![0]!.id === 'one'
        ? [
            ['one', 1],
            ['two', 0],
          ]
        : [],
    );
    expect(await index.remove(['one', 'not there'])).toBe(1);
    expect(await index.search([a], 100, { per: 'image' })).toMatchObject([[{ id: 'two' }]]);
    expect(await index.remove(['two'])).toBe(1);
    expect(await index.search([a], 3)).toEqual([[]]);
    index = await reopened(index, place('updates'));
    expect(await idsOf(index)).toEqual([]);
    await index.add([a], [{ id: 'two' }]);
    expect((await index.search([a], 3))[0]).toMatchObject([{ id: 'two', similarity: 1 }]);
    await closed(index);
  });

  it('refuses rows without a direction, cut or padded ones, and adds nothing of them', async () => {
    const index = await create(place('bad'));
    const good = rowsOf(1, 6)[0]!;
    await index.add([good], [{ id: 'good' }]);
    const bad = {
      zero: good.map(() => 0),
      nan: good.map((x, at) => (at === 3 ? Number.NaN : x)),
      infinite: good.map((x, at) => (at === 3 ? Number.POSITIVE_INFINITY : x)),
      cut: good.subarray(1),
      padded: Float32Array.from([...good, 0]),
      twice: Float32Array.from([...good, ...good]),
    };
    for (const [id, row] of Object.entries(bad)) {
      await expect((async () => await index.add([row], [{ id }]))(), id).rejects.toThrow(RangeError);
      await expect((async () => await index.search([row], 3))(), id).rejects.toThrow(RangeError);
    }
    await expect(
      (async () => await index.add([good, bad.nan], [{ id: 'a' }, { id: 'b' }]))(),
    ).rejects.toThrow(/the row of b is not of finite/);
    await expect((async () => await index.search([good], 0))()).rejects.toThrow(/k to be 1 or more/);
    expect(await idsOf(index)).toEqual(['good']);
    expect((await index.search([good], 5))[0]).toMatchObject([{ id: 'good' }]);
    await closed(index);
  });

  it('is proven by an exact search when it is built, and keeps that when labels change and rows come', async () => {
    const dim = 32;
    const rows = clustered(2000, 7, dim);
    const items = rows.map((_, at) => ({ id: `i${at}`, labels: [`c${at % 100}`] }));
    let index = await create(place('built'), dim);
    await index.add(rows, items);
    await expect((async () => await index.search([rows[0]!], 3, { approximate: true }))()).rejects.toThrow(
      /build/,
    );
    await index.buildGraph();
    index = await reopened(index, place('built'));
    const isExact = index.graph === null;
    expect(isExact).toBe(place('').startsWith('sqlite:'));
    if (!isExact) expect(index.graph!.recall).toBeGreaterThan(0.985);
    const queries = clustered(50, 8, dim);
    const share = async () => {
      const exact = await index.search(queries, 10);
      const found = await index.search(queries, 10, { approximate: !isExact });
      expect(found.every(({ length }) => length === 10)).toBe(true);
      const same = exact.map((some, q) => {
        const ids = new Set(some.map(({ id }) => id));
        return found[q]!.filter(({ id }) => ids.has(id)).length;
      });
      return same.reduce((a, b) => a + b) / 500;
    };
    expect(await share()).toBeGreaterThan(0.97);
    // A label of each item, one after the other or all at once.
    for await (const item of index.items()) {
      if (index instanceof StoreIndex || Number(item.id.slice(1)) >= 20) break;
      using own = index.rows(item.id)!;
      index.update(own, [{ id: item.id, labels: 'new' }]);
    }
    if (index instanceof StoreIndex) {
      const all = [];
      for await (const item of index.items()) all.push({ ...item, labels: ['new'] });
      await index.relabel(all);
    }
    const fresh = rowsOf(3, 9, dim);
    await index.add(fresh, [{ id: 'f0' }, { id: 'f1' }, { id: 'f2' }]);
    index = await reopened(index, place('built'));
    expect(index.graph === null).toBe(isExact);
    expect(await share()).toBeGreaterThan(0.97);
    const nearest = await index.search([fresh[1]!], 1, { approximate: !isExact });
    expect(nearest[0]![0]!.id).toBe('f1');
    const labelled = await searchLabelled(index, [rows[7]!], 10, 'new', { approximate: !isExact });
    expect(labelled[0]).toHaveLength(10);
    expect(labelled[0]![0]).toMatchObject({ id: 'i7', labels: ['new'], similarity: 1 });
    await closed(index);
  });

  it('is whole after its writer was killed', async () => {
    const index = await create(place('killed'));
    const source = `
      const { openAnyIndex } = await import(${JSON.stringify(new URL('../../dist/retrieve/any-index.js', import.meta.url))});
      const { batchOf } = await import('data:text/javascript,' + encodeURIComponent(${JSON.stringify(batches)}));
      const address = process.argv[1];
      const index = await openAnyIndex(address, { write: true });
      for (let n = Number(process.argv[2]); ; n++) {
        const { rows, items } = batchOf(n);
        if (address.startsWith('usearch:')) { index.update(rows, items); index.save(address.slice(8)); }
        else await index.update(rows, items);
        console.log(n);
      }
    `;
    const { batchOf } = (await import(
      /* @vite-ignore */ `data:text/javascript,${encodeURIComponent(batches)}`
    )) as {
      batchOf(n: number): { rows: Float32Array; items: { id: string; payload: number }[] };
    };
    const first = batchOf(0);
    await index.add(first.rows, first.items);
    await keep(index, place('killed'));
    await closed(index);
    const random = new Random(10);
    let last = 0;
    for (let kill = 0; kill < 4; kill++) {
      const child = spawn(process.execPath, [
        '--input-type=module',
        '-e',
        source,
        place('killed'),
        String(last + 1),
      ]);
      let errors = '';
      child.stderr.on('data', (chunk) => {
        errors += chunk;
      });
      const ended = once(child, 'close');
      let acknowledged = last;
      child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), 30 + random.next() * 200));
      for await (const line of createInterface(child.stdout)) acknowledged = Number(line);
      await ended;
      expect(errors.replaceAll(/^\[.*WARN.*\n/gm, '')).toBe('');
      const there = kept(await openAnyIndex(place('killed'), { write: true }));
      const payloads = new Set<unknown>();
      for await (const { payload } of there.items()) payloads.add(payload);
      expect(there.count).toBe(60);
      expect([...payloads]).toHaveLength(1);
      last = [...payloads][0] as number;
      expect([acknowledged, acknowledged + 1]).toContain(last);
      const { rows } = batchOf(last);
      const found = await there.search([rows.slice(0, DIM)], 60);
      expect(found[0]).toHaveLength(60);
      expect(found[0]![0]).toMatchObject({ id: 'k0', payload: last, similarity: 1 });
      await closed(there);
    }
    expect(last).toBeGreaterThan(0);
  });
});

it('LanceDB that was ended while it made an index has none yet; one that lost its record keeps its rows', async () => {
  const path = join(temporaryFolder(), 'made.lance');
  const [row] = rowsOf(1, 1);
  const unfinished = () => rmSync(join(path, 'record.lance/_versions'), { recursive: true });
  await (await StoreIndex.openOrCreate(`lancedb:${path}`, DIM)).dispose();
  unfinished();
  await using index = await StoreIndex.openOrCreate(`lancedb:${path}`, DIM);
  await index.add([row!], [{ id: 'a' }]);
  unfinished();
  await expect(StoreIndex.openOrCreate(`lancedb:${path}`, DIM)).rejects.toThrow(UserError);
});

it('SQLite has no files beside its own once it is closed; damaged, it says so in a line', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'photos.db');
  const index = await StoreIndex.openOrCreate(`sqlite:${path}`, DIM);
  await index.add(
    rowsOf(400, 1),
    Array.from({ length: 400 }, (_, at) => ({ id: `${at}` })),
  );
  await index.dispose();
  expect(readdirSync(folder)).toEqual(['photos.db']);
  const read = await StoreIndex.open(`sqlite:${path}`);
  expect(await read.search(rowsOf(1, 1), 1)).toMatchObject([[{ id: '0' }]]);
  await read.dispose();
  expect(readdirSync(folder)).toEqual(['photos.db']);
  const bytes = readFileSync(path);
  bytes.fill(0xff, 4096, bytes.length);
  writeFileSync(path, bytes);
  await expect(StoreIndex.open(`sqlite:${path}`)).rejects.toThrow(UserError);
});

/** Items of the n-th write, in a module of its own: the killed writer and the test have to agree. */
const batches = `
  export function batchOf(n) {
    const items = Array.from({ length: 60 }, (_, i) => ({ id: 'k' + i, payload: n }));
    const rows = Float32Array.from({ length: 60 * ${DIM} }, (_, i) => Math.sin(n * 7.3 + i * i));
    return { rows, items };
  }
`;
