import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type GraphCopies, graphOf, IndexFolder, readCopies } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, randn, type Tensor } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { ImageIndex } from './image-index.js';

const DIM = 24;
const rowsOf = (): Tensor => randn([500, DIM], { generator: new Generator(8) });
const items = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `i${i}` }));

/** The file of equal rows that an index's manifest names, with its whole path. */
function copiesIn(path: string): GraphCopies {
  const { copies } = graphOf(new IndexFolder(path).manifest().graph)!;
  const { file, ...others } = copies as GraphCopies;
  return { file: join(path, file), ...others };
}

describe('a graph of many equal rows', () => {
  const equal = 6000;
  let many: string;
  beforeAll(() => {
    many = join(temporaryFolder(), 'many.index');
    using rows = rowsOf();
    const numbers = rows.toTypedArray() as Float32Array;
    const row = (i: number) => numbers.subarray(i * DIM, (i + 1) * DIM);
    const all = [
      ...Array.from({ length: 500 }, (_, i) => row(i)),
      ...Array.from({ length: equal }, () => row(3)),
    ];
    using index = ImageIndex.of(all, items(500 + equal));
    index.buildGraph();
    index.save(many);
  });
  const found = (path: string) => {
    using index = ImageIndex.open(path);
    using rows = rowsOf();
    using row = rows.narrow(0, 3, 1);
    return index.search(row, equal + 1, { approximate: true })[0]!;
  };
  const copy = (): string => {
    const other = join(temporaryFolder(), 'copy.index');
    cpSync(many, other, { recursive: true });
    return other;
  };

  it('a change does not write their list again', () => {
    const other = copy();
    const { file } = copiesIn(other);
    const stamp = statSync(file).mtimeMs;
    using index = ImageIndex.open(other);
    index.add([new Float32Array(DIM).fill(1)], [{ id: 'new' }]);
    index.remove(['i7']);
    index.save(other);
    expect(readFileSync(join(other, 'manifest.json')).length).toBeLessThan(4000);
    expect(readdirSync(other).filter((name) => name.endsWith('.copies'))).toEqual([basename(file)]);
    expect(statSync(file).mtimeMs).toBe(stamp);
    expect(found(other)).toHaveLength(equal + 1);
    index.save(other, { compact: true });
    expect(readdirSync(other).filter((name) => /copies|graph/.test(name))).toEqual([]);
  });

  it('an index of an earlier version has the list in its manifest, until it is changed', () => {
    const other = copy();
    const { file, ...copies } = copiesIn(other);
    const manifest = new IndexFolder(other).manifest();
    const graph = { ...(manifest.graph as object), copies: readCopies(file, copies) };
    writeFileSync(join(other, 'manifest.json'), JSON.stringify({ ...manifest, graph }));
    rmSync(file);
    ImageIndex.check(other);
    expect(found(other)).toHaveLength(equal + 1);
    using index = ImageIndex.open(other);
    index.remove(['i7']);
    index.save(other);
    expect(readFileSync(join(other, 'manifest.json')).length).toBeLessThan(4000);
    expect(found(other)).toHaveLength(equal + 1);
    ImageIndex.check(other);
  });

  it('a list that is not what was written is refused in a line, and exact searches go on', () => {
    const refused = (other: string) =>
      expect(() => found(other)).toThrow(
        /graph is damaged: the list of equal rows beside it is not what was written; build the graph anew, or search/,
      );
    for (const damage of [
      (bytes: Buffer) => bytes.fill(7, 40, 44),
      (bytes: Buffer) => bytes.subarray(0, 90),
      () => null,
    ]) {
      const other = copy();
      const { file } = copiesIn(other);
      const bytes = damage(readFileSync(file));
      rmSync(file);
      if (bytes !== null) writeFileSync(file, bytes);
      refused(other);
      expect(() => ImageIndex.check(other)).toThrow(
        /its graph is damaged, .*\.copies is not what was written; all else is whole/,
      );
      using index = ImageIndex.open(other);
      using some = rowsOf();
      expect(index.search(some, 3)).toHaveLength(500);
    }
    const manifest = new IndexFolder(many).manifest();
    for (const copies of [[[3, 500 + equal]], [[-1, 3]], [[4, 3]]]) {
      const other = copy();
      const graph = { ...(manifest.graph as object), copies };
      writeFileSync(join(other, 'manifest.json'), JSON.stringify({ ...manifest, graph }));
      refused(other);
    }
  });
});
