import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IndexFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { killWriter, writeCounted } from '../testing/killed-writer.js';
import { ImageIndex } from './image-index.js';
import { rowsAt } from './index-rows.js';

let path: string;
beforeEach(() => {
  path = join(temporaryFolder(), 'i.index');
});

const drawn = (count: number, dim: number, seed: number) =>
  randn([count, dim], { generator: new Generator(seed) });
const numbered = (count: number, first = 0) =>
  Array.from({ length: count }, (_, i) => ({ id: `item ${first + i}`, payload: first + i }));

/** Bytes of each file by its name. */
const sizes = () =>
  new Map(readdirSync(path).map((name) => [name, statSync(join(path, name)).size] as const));
/** Bytes that a change writes. */
function written(change: () => void): number {
  const before = sizes();
  change();
  let bytes = 0;
  for (const [name, size] of sizes()) if (!before.has(name) || name === 'manifest.json') bytes += size;
  return bytes;
}

function expectSame(index: ImageIndex, rows: Tensor, places: readonly number[]): void {
  using opened = ImageIndex.open(path);
  using anew = ImageIndex.of(
    rowsAt(rows, places),
    places.map((place) => ({ id: `item ${place}`, payload: place })),
  );
  const queries = drawn(4, rows.size(1), 99);
  const wanted = anew.search(queries, 12);
  for (const one of [index, opened]) {
    expect([...one.items()].map(({ payload }) => payload)).toEqual(places);
    expect(one.search(queries, 12)).toEqual(wanted);
  }
}

describe('an index on the disk', () => {
  it('writes of a change what is new, and is after many of them what it would be if made so', () => {
    const live = liveTensors();
    scope(() => {
      const rows = drawn(10_000, 32, 1);
      using index = ImageIndex.of(rows.narrow(0, 0, 9000), numbered(9000));
      index.save(path);
      const places = Array.from({ length: 9000 }, (_, i) => i);
      for (let n = 0; n < 30; n++) {
        const gone = places.splice((n * 977) % places.length, 1)[0]!;
        const bytes = written(() => {
          index.add(rows.narrow(0, 9000 + n, 1), numbered(1, 9000 + n));
          index.remove([`item ${gone}`]);
          index.save(path);
        });
        expect(bytes).toBeLessThan(12_000); // of more than a million
        places.push(9000 + n);
      }
      expect(readdirSync(path).length).toBeLessThan(4 + 4 * 9);
      expectSame(index, rows, places);
      // All in one piece, and nothing else left.
      index.save(path, { compact: true });
      expect(readdirSync(path)).toHaveLength(4);
      expectSame(index, rows, places);
      ImageIndex.check(path);
    });
    expect(liveTensors()).toBe(live);
  });

  it('takes another one in, and knows where the images of both lie', () => {
    using rows = drawn(6, 4, 2);
    const origin = { embedder: 'e', source: null, checkpoint: null, preprocessing: null };
    const stamp = { size: 1, modified: 2 };
    const of = (folder: string, id: string, first: number) => {
      const index = ImageIndex.empty(4, { ...origin, folder });
      index.put(rows.narrow(0, first, 2), [
        { id, labels: [], payload: null, images: ['1.png', '2.png'].map((path) => ({ path, stamp })) },
      ]);
      return index;
    };
    using index = of('/photos/a', 'a', 0);
    using other = of('/photos/b/c', 'b', 2);
    index.merge(other);
    const found = index.search(rows.narrow(0, 0, 4), 1, { per: 'image' });
    expect(found.map(([match]) => [match!.id, match!.image, match!.path])).toEqual([
      ['a', 0, '/photos/a/1.png'],
      ['a', 1, '/photos/a/2.png'],
      ['b', 0, '/photos/b/c/1.png'],
      ['b', 1, '/photos/b/c/2.png'],
    ]);
    expect(() => index.merge(other)).toThrow(/both indexes hold an item b: remove one of them/);
    using stranger = ImageIndex.of(rows, numbered(6));
    expect(() => index.merge(stranger)).toThrow(/an index by e cannot take rows by no embedder/);
    using wide = ImageIndex.of(drawn(1, 5, 1), numbered(1));
    expect(() => stranger.merge(wide)).toThrow(/of 4 numbers a row cannot take rows of 5/);
  });

  it('has one writer at a time', () => {
    using rows = drawn(4, 4, 3);
    using first = ImageIndex.of(rows, numbered(4));
    first.save(path);
    using second = ImageIndex.open(path);
    {
      using lock = ImageIndex.lock(path);
      expect(() => second.save(path)).toThrow(
        /i\.index is being written by process \d+ since .*: wait for it/,
      );
      const program = `
        const { ImageIndex } = await import(${JSON.stringify(new URL('../../dist/retrieve/image-index.js', import.meta.url))});
        try { ImageIndex.lock(process.argv[1]); console.log('mine'); } catch (error) { console.log(error.message); }`;
      const said = execFileSync(process.execPath, ['--input-type=module', '-e', program, path], {
        encoding: 'utf8',
      });
      expect(said).toMatch(new RegExp(`is being written by process ${process.pid} `));
      first.remove(['item 1']);
      first.save(path, { lock });
    }
    // What it was opened from is no longer there: to write would undo the other's work.
    second.remove(['item 2']);
    expect(() => second.save(path)).toThrow(
      /was written by another process since it was opened: open it again/,
    );
    // It goes on answering from what it has open.
    expect(second.search(rows.narrow(0, 1, 1), 1)[0]![0]!.id).toBe('item 1');
    // A lock that nothing was written with leaves no folder behind.
    const other = `${path}.other`;
    ImageIndex.lock(other)[Symbol.dispose]();
    expect(existsSync(other)).toBe(false);
  });

  it('leaves files alone that are not its own, and is not made among others', () => {
    using index = ImageIndex.of(drawn(2, 4, 4), numbered(2));
    index.save(path);
    writeFileSync(join(path, 'notes.txt'), 'mine');
    index.save(path, { compact: true });
    expect(readFileSync(join(path, 'notes.txt'), 'utf8')).toBe('mine');
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'photo.jpg'), '');
    expect(() => index.save(folder)).toThrow(/expected the folder of an index or an empty one/);
    expect(readdirSync(folder)).toEqual(['photo.jpg']);
  });

  it('says what is damaged', () => {
    using index = ImageIndex.of(drawn(3, 4, 5), numbered(3));
    index.remove(['item 1']);
    index.save(path);
    index.remove(['item 2']);
    index.save(path);
    const folder = new IndexFolder(path);
    const { name, removed } = folder.manifest().segments[0]!;
    const damages: [string, (bytes: Buffer) => Buffer, RegExp][] = [
      [`${name}.rows`, (bytes) => bytes.subarray(1), /\.rows holds 31 bytes instead of 32/],
      [`${name}.items`, (bytes) => bytes.subarray(1), /its items are cut off/],
      [`${name}.table`, (bytes) => bytes.subarray(8), /its items are cut off/],
      [removed!.file, () => Buffer.alloc(0), /is cut off/],
      [
        'manifest.json',
        (bytes) => Buffer.from(String(bytes).replace('"dim"', '"din"')),
        /no version or no dim/,
      ],
      [
        'manifest.json',
        (bytes) => Buffer.from(String(bytes).replace(name, '../../etc')),
        /its segments are none/,
      ],
      [
        'manifest.json',
        (bytes) => Buffer.from(String(bytes).replace('index-4', 'index-9')),
        /expected conquer-index-4/,
      ],
    ];
    for (const [file, damage, message] of damages) {
      const sound = readFileSync(join(path, file));
      writeFileSync(join(path, file), damage(sound));
      const live = liveTensors();
      expect(() => ImageIndex.open(path)).toThrow(message);
      expect(() => ImageIndex.open(path)).toThrow(
        /is damaged: .*delete it and make it again with npx conquer index/,
      );
      expect(liveTensors()).toBe(live);
      writeFileSync(join(path, file), sound);
    }
    // Of the same length: found when it is looked for.
    const rows = readFileSync(join(path, `${name}.rows`));
    rows[5]! ^= 1;
    writeFileSync(join(path, `${name}.rows`), rows);
    ImageIndex.open(path).dispose();
    expect(() => ImageIndex.check(path)).toThrow(/\.rows is not what was written/);
  });

  it('is whole after its writer was killed', async () => {
    writeCounted(path);
    const random = new Random(7);
    for (let kill = 0; kill < 3; kill++) await killWriter(path, random);
  });
});
