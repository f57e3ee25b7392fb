import { decodeImages } from '@conquer-dml/image';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import type { Dataset } from './dataset.js';
import { openEmoji } from './emoji.js';

const folder = temporaryFolder();
// Deleting 18,831 files takes a while on a busy disk.

const sizes = ({ train, test }: Dataset) =>
  [train, test].map(({ paths, classNames }) => [classNames.length, paths.length]);

describe('openEmoji', () => {
  it('draws all pictures once and halves the classes, the same way every time', async () => {
    let drawn = 0;
    const onProgress = () => {
      drawn++;
    };
    const emoji = await openEmoji({ folder, onProgress });
    expect(drawn).toBe(11_672 + 1);
    expect(emoji.name).toBe('emoji');
    expect(sizes(emoji).map(([classes]) => classes)).toEqual([853, 853]);
    expect(emoji.train.paths.length + emoji.test.paths.length).toBe(11_672);
    expect(new Set([...emoji.train.classNames, ...emoji.test.classNames]).size).toBe(1706);

    for (const { paths, labels, classNames } of [emoji.train, emoji.test]) {
      expect(labels).toHaveLength(paths.length);
      paths.forEach((path, index) => {
        expect(path.endsWith(`/${classNames[labels[index] ?? -1]}.png`)).toBe(true);
      });
      const pixels = new Uint8Array(paths.length * 8 * 8 * 3);
      await decodeImages(
        paths.map((image) => ({ image, size: { width: 8, height: 8 } })),
        pixels,
      );
      // Both halves hold flags, faces and food.
      for (const kind of ['flag-', 'face', 'fruit|bread|cheese']) {
        expect(classNames.some((name) => new RegExp(kind).test(name))).toBe(true);
      }
    }

    drawn = 0;
    expect(await openEmoji({ folder, onProgress })).toEqual(emoji);
    expect(drawn).toBe(0);

    const tones = await openEmoji({ folder, tones: true, onProgress });
    expect(drawn).toBe(18_831 - 11_672 + 1);
    expect(sizes(tones).map(([classes]) => classes)).toEqual([1827, 1827]);
    expect(tones.train.paths.length + tones.test.paths.length).toBe(18_831);
  });
});
