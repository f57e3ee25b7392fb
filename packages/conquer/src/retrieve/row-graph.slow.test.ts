import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { IndexFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { ImageIndex } from './image-index.js';
import { RowGraph } from './row-graph.js';

const { Index } = createRequire(import.meta.url)('usearch') as typeof import('usearch');

const [CENTRES, DIM] = [50, 24];

/** Rows around centres. */
function rowsOf(count: number, seed: number): Tensor {
  return scope(() => {
    const centres = randn([CENTRES, 1, DIM], { generator: new Generator(1) });
    const noise = randn([CENTRES, count / CENTRES, DIM], { generator: new Generator(seed) });
    return centres.add(noise.mul(0.5)).reshape([count, DIM]).keep();
  });
}

const items = (count: number, name = 'i') => Array.from({ length: count }, (_, i) => ({ id: `${name}${i}` }));
const idsOf = (index: ImageIndex, queries: Tensor, approximate: boolean, k = 10) =>
  index.search(queries, k, { approximate }).map((matches) => matches.map(({ id }) => id));

/** Of what an exact search finds, the share that an approximate one finds too. */
function recall(index: ImageIndex, queries: Tensor): number {
  const exact = idsOf(index, queries, false);
  const found = idsOf(index, queries, true);
  const same = exact.flatMap((ids, query) => ids.filter((id) => found[query]!.includes(id)));
  return same.length / exact.flat().length;
}

describe('an index with a graph', () => {
  let path: string;
  let queries: Tensor;
  beforeAll(() => {
    path = join(temporaryFolder(), 'some.index');
    using rows = rowsOf(4000, 2);
    using index = ImageIndex.of(rows, items(4000));
    index.buildGraph({ recall: 0.98 });
    index.save(path);
    queries = rowsOf(200, 3);
  });

  it('finds nearly what an exact search finds, with its similarities, as it was proven to', () => {
    const live = liveTensors();
    {
      using index = ImageIndex.open(path);
      const { graph } = index;
      expect(graph).toMatchObject({ rows: 4000, k: 10, queries: 256 });
      expect(graph!.recall).toBeGreaterThanOrEqual(0.98);
      expect(recall(index, queries)).toBeGreaterThan(0.96);
      const exact = index.search(queries, 10);
      for (const [query, matches] of index.search(queries, 10, { approximate: true }).entries()) {
        const known = new Map(exact[query]!.map(({ id, similarity }) => [id, similarity]));
        for (const { id, similarity } of matches)
          if (known.has(id)) expect(similarity).toBeCloseTo(known.get(id)!, 6);
        const similarities = matches.map(({ similarity }) => similarity);
        expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
        expect(Math.max(...similarities)).toBeLessThanOrEqual(1);
      }
    }
    expect(liveTensors()).toBe(live);
    expect(() => ImageIndex.check(path)).not.toThrow();
  });

  it('finds nothing that was removed, what was added since, and k of what is left', () => {
    using index = ImageIndex.open(path);
    const near = idsOf(index, queries, true).flat();
    index.remove(near);
    using more = rowsOf(100, 4);
    index.add(more, items(100, 'new'));
    const found = idsOf(index, queries, true);
    expect(found.flat().some((id) => near.includes(id))).toBe(false);
    expect(found.flat().some((id) => id.startsWith('new'))).toBe(true);
    for (const ids of found) expect(ids).toHaveLength(10);
    expect(recall(index, queries)).toBeGreaterThan(0.9);
    // All but a few are gone: those are found.
    index.remove([...index.items()].slice(5).map(({ id }) => id));
    using some = queries.narrow(0, 0, 10);
    for (const ids of idsOf(index, some, true)) expect(new Set(ids).size).toBe(5);
  });

  it('is kept by a write of something else, and goes with the rows that it is of', () => {
    const other = join(temporaryFolder(), 'other.index');
    using index = ImageIndex.open(path);
    index.save(other);
    expect(recall(index, queries)).toBeGreaterThan(0.96);
    const files = () => readdirSync(other).filter((name) => name.endsWith('.graph'));
    const [file] = files();
    index.remove(['i3']);
    index.save(other);
    expect(files()).toEqual([file]);
    using again = ImageIndex.open(other);
    expect(again.graph?.rows).toBe(4000);
    expect(recall(again, queries)).toBeGreaterThan(0.95);
    again.add(rowsOf(50, 9), items(50, 'x'));
    again.save(other, { compact: true });
    expect([again.graph, files()]).toEqual([null, []]);
    expect(() => again.search(queries, 1, { approximate: true })).toThrow(/has no graph .* build it first/);
  });

  it('is refused in a line where its file is not what was written', () => {
    const other = join(temporaryFolder(), 'damaged.index');
    {
      using index = ImageIndex.open(path);
      index.save(other);
    }
    const file = join(other, readdirSync(other).find((name) => name.endsWith('.graph'))!);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length / 2));
    using index = ImageIndex.open(other);
    expect(() => index.search(queries, 3, { approximate: true })).toThrow(
      /graph is damaged: it is not as long as it was written; build the graph anew, or search exactly/,
    );
    expect(index.search(queries, 3)).toHaveLength(200);
    expect(() => ImageIndex.check(other)).toThrow(/\.graph is not what was written/);
    // A graph of other rows, as long as the manifest says: usearch opens it whatever was asked for.
    const stranger = new Index({ dimensions: 8, metric: 'l2sq' } as never);
    stranger.add(0n, new Float32Array(8).fill(1), 1);
    stranger.save(file);
    const manifest = new IndexFolder(other).manifest();
    const graph = { ...(manifest.graph as object), bytes: readFileSync(file).length };
    writeFileSync(join(other, 'manifest.json'), JSON.stringify({ ...manifest, graph }));
    using changed = ImageIndex.open(other);
    expect(() => changed.search(queries, 3, { approximate: true })).toThrow(
      /expected 4000 rows of 24 numbers, it holds 1 of 8/,
    );
  });

  it('takes no queries without a direction, and answers as the items are', () => {
    using rows = rowsOf(100, 5);
    using index = ImageIndex.of(rows, [
      ...Array.from({ length: 25 }, (_, i) => ({ id: `i${i}`, images: 4 })),
    ]);
    index.buildGraph();
    for (const bad of [Number.NaN, 0])
      expect(() => index.search(new Float32Array(DIM).fill(bad), 3, { approximate: true })).toThrow(
        /a search: the row of query 1 is/,
      );
    expect(() => index.search(new Float32Array(2 * DIM + 1), 3, { approximate: true })).toThrow(RangeError);
    for (const per of ['item', 'image'] as const)
      expect(index.search(rows, 7, { per, approximate: true })).toEqual(index.search(rows, 7, { per }));
  });
});

describe('a graph that finds too little', () => {
  it('is asked for more, then built with more neighbours, then refused', () => {
    // Rows without any structure: the hardest there are.
    using rows = randn([3000, 64], { generator: new Generator(6) });
    using index = ImageIndex.of(rows, items(3000));
    index.buildGraph({ recall: 0.5 });
    const easy = index.graph!;
    index.buildGraph({ recall: 0.995 });
    const hard = index.graph!;
    expect(hard.width).toBeGreaterThan(easy.width);
    expect(hard.recall).toBeGreaterThanOrEqual(0.995);
    using queries = randn([100, 64], { generator: new Generator(7) });
    expect(recall(index, queries)).toBeGreaterThan(0.97);
    expect(() => index.buildGraph({ recall: 2 })).toThrow(/above 0 and at most 1, got 2/);
    // Nothing is as near as this one search says.
    const exact = (some: Tensor, k: number) => ({
      k,
      indices: new Int32Array(some.size(0) * k).fill(1),
      distances: new Float32Array(some.size(0) * k),
    });
    const places = Int32Array.from({ length: 3000 }, (_, i) => i);
    expect(() => RowGraph.build({ rows: index.allRows(), places, exact }, {})).toThrow(
      /finds 0\.\d{3} of the 10 nearest, expected 0\.99: search them exactly/,
    );
  });
});

it('says what to install where usearch is not', () => {
  const folder = temporaryFolder();
  const program = join(folder, 'without.mjs');
  writeFileSync(
    program,
    `import Module from 'node:module';
     const resolve = Module._resolveFilename;
     Module._resolveFilename = (name, ...rest) => {
       if (name === 'usearch') throw new Error("Cannot find module 'usearch'");
       return resolve(name, ...rest);
     };
     const { ImageIndex } = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
     const index = ImageIndex.of([[1, 0], [0, 1]], [{ id: 'a' }, { id: 'b' }]);
     try { index.buildGraph(); } catch (error) { console.log(error.name, error.message); }`,
  );
  const said = execFileSync(process.execPath, [program], { encoding: 'utf8' });
  expect(said).toMatch(
    /approximate searches need the package usearch, .*: npm install usearch, or search exactly/,
  );
});
