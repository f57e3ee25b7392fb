import { mkdirSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImages } from '@conquer-dml/image';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cacheFolder } from '../cache-folder.js';
import { drawMissing, emojiSize } from './emoji.js';
import {
  type EmojiName,
  type EmojiSet,
  emojiSets,
  emojiVersions,
  findIcons,
  hasSkinTone,
  type IconSet,
  iconSvg,
  readIconSets,
  sharedEmoji,
} from './emoji-icons.js';

let sets: Map<EmojiSet, IconSet>;
let names: EmojiName[];
let root: string;

beforeAll(async () => {
  sets = await readIconSets();
  names = sharedEmoji(sets);
  root = temporaryFolder();
});

const images = (list: readonly EmojiName[]) => list.reduce((sum, [, drawnBy]) => sum + drawnBy.length, 0);

describe('the emoji that sets share', () => {
  it('are 1,706 classes with 11,672 images, and 3,654 with 18,831 with skin tones', () => {
    expect([names.length, images(names)]).toEqual([3654, 18_831]);
    const plain = names.filter(([name]) => !hasSkinTone(name));
    expect([plain.length, images(plain)]).toEqual([1706, 11_672]);
  });

  it('are sorted, distinct, and drawn by three to nine sets', () => {
    const sorted = names.map(([name]) => name);
    expect([...new Set(sorted)].sort()).toEqual(sorted);
    for (const [, drawnBy] of names) expect([3, 4, 5, 6, 7, 8, 9]).toContain(drawnBy.length);
  });

  it('tells tones from the names that only sound like it', () => {
    expect(
      ['waving-hand-medium-dark-skin-tone', 'boy-light', 'skin-tone-2', 'a-dark-b-medium'].map(hasSkinTone),
    ).toEqual([true, true, true, true]);
    expect(['light-bulb', 'darts', 'moonlight', 'dark-chocolate'].map(hasSkinTone)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it('come from a package of their own, for which one line asks where it is missing', () => {
    const folder = temporaryFolder();
    expect(() => findIcons([join(folder, 'package.json')])).toThrow(
      'emoji: the icons are a package of their own, which is not installed here; run npm install @conquer-dml/emoji',
    );
    const here = join(folder, 'node_modules/@conquer-dml/emoji');
    mkdirSync(here, { recursive: true });
    writeFileSync(join(here, 'package.json'), '{}');
    expect(() => findIcons([join(folder, 'package.json')])).not.toThrow();
  });

  it('come from installed packages of known versions', async () => {
    const versions = await emojiVersions();
    expect(versions).toHaveLength(9);
    for (const version of versions) expect(version).toMatch(/^[a-z0-9-]+ \d+\.\d+\.\d+$/);
  });
});

describe('iconSvg', () => {
  it('uses the size of the icon, of its set, or 16', () => {
    const set: IconSet = {
      width: 32,
      icons: { a: { body: '<g/>' }, b: { body: '', left: 1, top: 2, width: 3, height: 4 } },
    };
    expect(iconSvg(set, 'a', 72)).toContain('viewBox="0 0 32 16"><g/></svg>');
    expect(iconSvg(set, 'b', 72)).toContain('width="72" height="72" viewBox="1 2 3 4"');
    expect(() => iconSvg(set, 'c', 72)).toThrow(/no icon named c/);
  });
});

describe('drawMissing', () => {
  let folder: string;
  let few: EmojiName[];
  const files = () =>
    emojiSets.flatMap((set) => readdirSync(join(folder, set)).map((file) => join(folder, set, file))).sort();

  beforeEach(() => {
    folder = mkdtempSync(join(root, 'draw-'));
    few = names.filter((_, index) => index % 400 === 0);
  });

  it('draws every picture once, in colour over white', async () => {
    const progress: number[] = [];
    await drawMissing(few, folder, { onProgress: ({ done, total }) => progress.push(done, total) });
    const total = images(few);
    expect(files()).toEqual(
      few.flatMap(([name, drawnBy]) => drawnBy.map((set) => join(folder, set, `${name}.png`))).sort(),
    );
    expect(progress.slice(0, 2)).toEqual([0, total]);
    expect(progress.slice(-2)).toEqual([total, total]);

    const pixels = new Uint8Array(total * emojiSize * emojiSize * 3);
    const size = { width: emojiSize, height: emojiSize };
    await decodeImages(
      files().map((image) => ({ image, size })),
      pixels,
    );
    const bytes = emojiSize * emojiSize * 3;
    for (let image = 0; image < total; image++) {
      const one = pixels.subarray(image * bytes, (image + 1) * bytes);
      const white = one.filter((value) => value === 255).length / bytes;
      expect(white, files()[image]).toBeGreaterThan(0.05);
      expect(white, files()[image]).toBeLessThan(0.99);
    }

    const written = files().map((file) => statSync(file).mtimeMs);
    await drawMissing(few, folder, { onProgress: () => expect.fail('there was nothing to draw') });
    expect(files().map((file) => statSync(file).mtimeMs)).toEqual(written);
  });

  it('continues where it was stopped, and takes half a file for none', async () => {
    const abort = new AbortController();
    const stopped = drawMissing(few, folder, {
      signal: abort.signal,
      onProgress: ({ done }) => {
        if (done === 20) abort.abort();
      },
    });
    await expect(stopped).rejects.toThrow(/abort/i);
    const before = files();
    expect(before.length).toBeGreaterThanOrEqual(20);
    expect(before.length).toBeLessThan(images(few));
    expect(before.filter((file) => !file.endsWith('.png'))).toEqual([]);

    // What a killed process leaves behind.
    const [name, drawnBy] = few.at(-1) ?? expect.fail();
    writeFileSync(join(folder, drawnBy[0] ?? '', `${name}.png.0123abcd.part`), 'half');
    let first: number | undefined;
    await drawMissing(few, folder, {
      onProgress: ({ done }) => {
        first ??= done;
      },
    });
    expect(first).toBe(before.length);
    expect(files().filter((file) => file.endsWith('.png'))).toHaveLength(images(few));
  });
});

describe('cacheFolder', () => {
  it('is $CONQUER_CACHE, or lies in the cache folder of the user', () => {
    expect(cacheFolder({ CONQUER_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/conquer');
    expect(cacheFolder({ XDG_CACHE_HOME: '' })).toMatch(/\/\.cache\/conquer$/);
  });
});
