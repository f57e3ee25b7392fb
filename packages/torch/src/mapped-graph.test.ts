import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import { randn, tensor } from './creation.js';
import { TorchError } from './error.js';
import { MappedGraph } from './mapped-graph.js';
import { Generator } from './random.js';
import { liveTensors } from './runtime.js';
import { scope } from './scope.js';
import { graphFile } from './testing/graph-file.mjs';

const folder = temporaryFolder();
let files = 0;
function opened(bytes: Uint8Array): MappedGraph {
  // A file that is mapped may not be written again.
  const file = join(folder, `${files++}.graph`);
  writeFileSync(file, bytes);
  return new MappedGraph(file, bytes.length);
}

/** Seven rows, each linked to its neighbours in a ring; every other one is in a layer above. Keys are ten times the rows. */
const rows = Array.from({ length: 7 }, (_, i) => [
  Math.round(127 * Math.cos(i / 2)),
  Math.round(127 * Math.sin(i / 2)),
]);
const ring = (i: number, step: number) => [(i + step) % 7, (i + 7 - step) % 7];
const nodes = rows.map((_, i) => ({
  key: 10 * i,
  layers: i % 2 === 0 ? [ring(i, 1), ring(i, 2).filter((row) => row % 2 === 0)] : [ring(i, 1)],
}));
const whole = graphFile({ rows, nodes, entry: 4 });

describe('a graph in a file', () => {
  it('finds the keys of the rows with the largest products, and frees what it has', () => {
    const live = liveTensors();
    {
      using graph = opened(whole);
      expect([graph.rows, graph.rowBytes, graph.bytes]).toEqual([7, 2, whole.length]);
      using queries = tensor([
        [Math.cos(1.1), Math.sin(1.1)],
        [1, 0],
      ]);
      const byProduct = (x: number, y: number) =>
        rows
          .map((row, i) => ({ key: 10 * i, product: row[0]! * x + row[1]! * y }))
          .sort((a, b) => b.product - a.product)
          .map(({ key }) => key);
      expect([...graph.nearest(queries, 7, 61)]).toEqual([
        ...byProduct(Math.cos(1.1), Math.sin(1.1)),
        ...byProduct(1, 0),
      ]);
      expect([...graph.nearest(queries, 2, 61)]).toEqual([20, 30, 0, 10]);
      expect(Buffer.from(graph.read(0, whole.length)).equals(whole)).toBe(true);
    }
    expect(liveTensors()).toBe(live);
  });

  it('finds no more than a walk meets', () => {
    const apart = nodes.map((node, i) => (i < 3 ? { ...node, layers: [[(i + 1) % 3]] } : { layers: [[]] }));
    using graph = opened(graphFile({ rows, nodes: apart }));
    using query = tensor([[1, 0]]);
    expect([...graph.nearest(query, 5, 61)]).toEqual([0, 10, 20, -1, -1]);
  });

  it('reads rows of 16 bits', () => {
    // 1, −0.5, 0.25, and the least number that is not 0.
    const halves = [
      [0x3c00, 0x0000],
      [0xb800, 0x3400],
      [0x0001, 0x3c00],
    ];
    const linked = halves.map((_, i) => ({ layers: [[0, 1, 2].filter((row) => row !== i)] }));
    using graph = opened(graphFile({ rows: halves, nodes: linked, scalar: 'f16' }));
    using queries = tensor([
      [-1, 0.1],
      [1, 0],
    ]);
    expect([...graph.nearest(queries, 3)]).toEqual([1, 2, 0, 0, 2, 1]);
  });

  it('refuses in words what is no such file, or was damaged', () => {
    const changed = (at: number, ...to: number[]) => {
      const bytes = whole.slice();
      bytes.set(to, at);
      return bytes;
    };
    const head = 8 + 14;
    expect(() => opened(whole.slice(0, 40))).toThrow(/a graph's file is cut off/);
    // As many rows and bytes of a row as a file can say.
    expect(() => opened(changed(0, ...new Array(8).fill(255)))).toThrow(/is cut off/);
    expect(() => opened(changed(3, 200, 0, 0, 0, 200))).toThrow(/is cut off/);
    expect(() => opened(whole.slice(0, -1))).toThrow(/is not as long as its nodes/);
    expect(() => opened(changed(head, 0))).toThrow(/is not of usearch/);
    expect(() => opened(changed(head + 7, 3))).toThrow(/is of version 3 of usearch, expected 2/);
    expect(() => opened(changed(head + 14, 11))).toThrow(/holds rows of another type/);
    expect(() => opened(changed(head + 64, 6))).toThrow(/not as many nodes/);
    using query = tensor([[1, 0]]);
    // The first link of the first row, which the walk comes to.
    const first = head + 64 + 40 + 14 + 10 + 4;
    using astray = opened(changed(first, 200));
    expect(() => astray.nearest(query, 7, 61)).toThrow(/has a link that leads nowhere/);
    // One link more than there is room for: what follows it, the key of the second row, would be a row of this graph.
    const numbered = graphFile({ rows, nodes: nodes.map(({ layers }) => ({ layers })) });
    numbered[first - 4] = 5;
    using crowded = opened(numbered);
    expect(() => crowded.nearest(query, 7)).toThrow(/has a link that leads nowhere/);
    using twice = opened(graphFile({ rows, nodes: nodes.map((node, i) => ({ ...node, key: i % 6 })) }));
    for (const _ of [1, 2]) expect(() => twice.nearest(query, 7)).toThrow(/has a key more than once/);
    using graph = opened(whole);
    expect(() => graph.nearest(query, 7, 60)).toThrow(/has a key that is no row/);
    for (const keys of [6, 2 ** 31]) expect(() => graph.nearest(query, 7, keys)).toThrow(TorchError);
    // What was refused leaves nothing behind.
    expect(graph.nearest(query, 7, 61)).toHaveLength(7);
    for (const width of [0, 8]) expect(() => graph.nearest(query, width)).toThrow(TorchError);
    using wide = tensor([[1, 0, 0]]);
    expect(() => graph.nearest(wide, 1)).toThrow(/must be \(Q, 2\) float32/);
  });

  it('ends in an answer or in words whatever bytes are wrong', () => {
    const generator = new Generator(3);
    using queries = randn([4, 2], { generator });
    let [answered, refused] = [0, 0];
    for (let turn = 0; turn < 300; turn++) {
      const bytes = whole.slice();
      const [at, value] = scope(
        () => randn([2], { generator }).abs().mul(1000).toTypedArray() as Float32Array,
      );
      bytes[Math.floor(at!) % bytes.length] = Math.floor(value!) % 256;
      try {
        using graph = opened(bytes);
        graph.nearest(queries, Math.min(5, graph.rows), 61);
        answered++;
      } catch (error) {
        expect(error).toBeInstanceOf(TorchError);
        refused++;
      }
    }
    expect([answered > 20, refused > 20]).toEqual([true, true]);
  });
});
