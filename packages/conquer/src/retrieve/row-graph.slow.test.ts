import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type GraphCopies, graphOf, IndexFolder, readCopies } from '@conquer-dml/run';
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

/** The file of equal rows that an index's manifest names, with its whole path. */
function copiesIn(path: string): GraphCopies {
  const { copies } = graphOf(new IndexFolder(path).manifest().graph)!;
  const { file, ...others } = copies as GraphCopies;
  return { file: join(path, file), ...others };
}

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

  /** The index in another folder, and the file of its graph. */
  function copied() {
    const other = join(temporaryFolder(), 'copy.index');
    using index = ImageIndex.open(path);
    index.save(other);
    return { other, file: join(other, readdirSync(other).find((name) => name.endsWith('.graph'))!) };
  }

  it('finds nearly what an exact search finds, with its similarities, as it was proven to', () => {
    const live = liveTensors();
    {
      using index = ImageIndex.open(path);
      const { graph } = index;
      expect(graph).toMatchObject({ rows: 4000, k: 10, queries: 1000 });
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
    const { other, file } = copied();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length / 2));
    using index = ImageIndex.open(other);
    expect(() => index.search(queries, 3, { approximate: true })).toThrow(
      /graph is damaged: it is not as long as it was written; build the graph anew, or search exactly/,
    );
    expect(index.search(queries, 3)).toHaveLength(200);
    expect(() => ImageIndex.check(other)).toThrow(
      /its graph is damaged, .*\.graph is not what was written; all else is whole: build the graph anew, or search exactly/,
    );
    // A graph of other rows, as long as the manifest says: usearch opens it whatever was asked for.
    const stranger = new Index({ dimensions: 8, metric: 'l2sq' } as never);
    stranger.add(0n, new Float32Array(8).fill(1), 1);
    stranger.save(file);
    const manifest = new IndexFolder(other).manifest();
    const graph = { ...(manifest.graph as object), bytes: readFileSync(file).length };
    writeFileSync(join(other, 'manifest.json'), JSON.stringify({ ...manifest, graph }));
    using changed = ImageIndex.open(other);
    expect(() => changed.search(queries, 3, { approximate: true })).toThrow(
      /is damaged: .*holds rows of another type; build the graph anew, or search exactly/,
    );
  });

  it('says so where a search finds its file to be damaged', () => {
    const { other, file } = copied();
    const bytes = readFileSync(file);
    const levels = 8 + 4000 * DIM + 64 + 40;
    // Of each row's node: its key, its level, and room for 64 links and a count, in higher layers 32.
    const starts: number[] = [];
    let at = levels + 2 * 4000;
    for (let row = 0; row < 4000; row++) {
      starts.push(at);
      at += 10 + 4 * 65 + 4 * 33 * bytes.readInt16LE(levels + 2 * row);
    }
    expect(at).toBe(bytes.length);
    for (const [key, said] of [
      [4000, "a graph's file has a key that is no row"],
      [7, "a graph's file has a key more than once"],
      [2 ** 31, "a graph's file has a key that is no row"],
    ] as const) {
      for (const start of starts) bytes.writeBigUInt64LE(BigInt(key), start);
      rmSync(file);
      writeFileSync(file, bytes);
      using index = ImageIndex.open(other);
      expect(() => index.search(queries, 3, { approximate: true })).toThrow(
        new RegExp(`graph is damaged: .*${said}; build the graph anew, or search exactly`),
      );
      expect(index.search(queries, 3)).toHaveLength(200);
    }
  });

  it('has copies of a row once, and finds all of them, also where the first was removed', () => {
    using rows = rowsOf(1000, 8);
    const numbers = rows.toTypedArray() as Float32Array;
    const row = (i: number) => numbers.subarray(i * DIM, (i + 1) * DIM);
    const all = [
      ...Array.from({ length: 1000 }, (_, i) => row(i)),
      ...Array.from({ length: 400 }, () => row(3)),
      ...Array.from({ length: 200 }, (_, i) => row(100 + (i % 10))),
    ];
    const other = join(temporaryFolder(), 'copies.index');
    {
      using index = ImageIndex.of(all, items(1600));
      index.buildGraph();
      expect(index.graph).toMatchObject({ rows: 1000 });
      index.save(other);
    }
    const { file, ...copies } = copiesIn(other);
    expect(
      readCopies(file, copies)
        .map((equal) => equal.length)
        .sort((a, b) => a - b),
    ).toEqual([...Array.from({ length: 10 }, () => 21), 401]);
    using index = ImageIndex.open(other);
    const found = (query: Float32Array, k: number) =>
      index.search([query], k, { approximate: true })[0]!.map(({ id }) => id);
    expect(new Set(found(row(3), 401)).size).toBe(401);
    expect(found(row(3), 3)).toEqual(['i3', 'i1000', 'i1001']);
    expect(found(row(104), 21)).toEqual(idsOf(index, rows.narrow(0, 104, 1), false, 21)[0]);
    expect(recall(index, queries)).toBeGreaterThan(0.97);
    index.remove(['i3', ...Array.from({ length: 233 }, (_, i) => `i${1000 + i}`)]);
    expect(found(row(3), 167)).toEqual(Array.from({ length: 167 }, (_, i) => `i${1233 + i}`));
  });

  it('of rows that are all equal finds as many as there are', () => {
    using row = rowsOf(50, 8);
    const copies = Array.from({ length: 300 }, () => row.select(0, 0).toTypedArray() as Float32Array);
    using index = ImageIndex.of(copies, items(300));
    index.buildGraph();
    const found = (k: number) => index.search([copies[0]!], k, { approximate: true })[0]!;
    expect(found(300)).toHaveLength(300);
    index.remove(found(233).map(({ id }) => id));
    expect(found(100)).toHaveLength(67);
  });

  it('of an earlier version, by cosines and with fewer neighbours, is asked as it is', () => {
    const { other, file } = copied();
    using index = ImageIndex.open(other);
    const shape = { metric: 'cos', connectivity: 16 };
    const earlier = new Index({ dimensions: DIM, quantization: 'i8', ...shape } as never);
    const rows = index.allRows();
    earlier.add(
      BigUint64Array.from({ length: 4000 }, (_, i) => BigInt(i)),
      rows.toTypedArray() as Float32Array,
      1,
    );
    rows.dispose();
    earlier.save(file);
    const manifest = new IndexFolder(other).manifest();
    const graph = { ...(manifest.graph as object), ...shape, bytes: readFileSync(file).length };
    writeFileSync(join(other, 'manifest.json'), JSON.stringify({ ...manifest, graph }));
    using again = ImageIndex.open(other);
    expect(again.graph).toMatchObject(shape);
    expect(recall(again, queries)).toBeGreaterThan(0.96);
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
  it('is asked for more, then built of 16 bits, then refused', () => {
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
      /finds 0\.\d{3} of the 10 nearest with 95 % of certainty, expected 0\.99: search them exactly/,
    );
  });
});

it('says where it cannot write what it builds', () => {
  using rows = rowsOf(100, 5);
  using index = ImageIndex.of(rows, items(100));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = join(temporaryFolder(), 'nowhere');
  try {
    expect(() => index.buildGraph()).toThrow(
      /a graph that is built cannot be written into .*nowhere \(.*ENOENT.*\): make room there, or name another one that can be written, TMPDIR/,
    );
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  expect(index.graph).toBeNull();
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
    /a graph for approximate searches is built by the package usearch, .*: npm install usearch, or search exactly/,
  );
});
