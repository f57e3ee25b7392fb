import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { openInshop } from './inshop.js';

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = temporaryFolder();
  warnings = [];
});

function put(path: string, contents = ''): void {
  const file = join(folder, 'in-shop', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}
const open = () => openInshop({ folder, allowPartial: true, onWarning: (message) => warnings.push(message) });

/** As distributed: columns apart by runs of spaces, spaces at the end of a line. */
function putList(lines: string[], count = lines.length): void {
  const text = [`${count}`, 'image_name item_id evaluation_status', ...lines].join('\n');
  put('Eval/list_eval_partition.txt', `${text}\n`);
}
const line = (id: number, image: number, status: string) =>
  `${`img/WOMEN/Dresses/id_${String(id).padStart(8, '0')}/0${image}_1_front.jpg`.padEnd(74)}  id_${String(id).padStart(8, '0')}   ${status} `;
const whole = [
  ...[line(9, 1, 'train'), line(2, 1, 'train'), line(2, 2, 'train')],
  ...[line(30, 1, 'query'), line(4, 1, 'query'), line(4, 2, 'gallery'), line(30, 2, 'gallery')],
];
const imageOf = (text: string) => text.split(' ')[0] ?? '';

describe('openInshop', () => {
  it.each(['', 'Img/'])('reads queries, their gallery and images under %jimg', async (root) => {
    putList(whole);
    for (const text of whole) put(root + imageOf(text));
    const { train, test, gallery, recallAt } = await open();
    expect([train.classNames, [...train.labels]]).toEqual([
      ['id_00000002', 'id_00000009'],
      [1, 0, 0],
    ]);
    expect([test.name, test.classNames, [...test.labels]]).toEqual([
      'query',
      ['id_00000004', 'id_00000030'],
      [1, 0],
    ]);
    expect([gallery?.classNames, [...(gallery?.labels ?? [])]]).toEqual([test.classNames, [0, 1]]);
    expect(test.paths[0]).toBe(join(folder, 'in-shop', root, imageOf(whole[3] ?? '')));
    expect(recallAt).toEqual([1, 10, 20, 30, 50]);
    expect(warnings).toEqual([
      expect.stringMatching(
        /^inshop: expected 25,882 training images, found 3; 14,218 queries, found 2; 12,612/,
      ),
    ]);
    await expect(openInshop({ folder })).rejects.toThrow(/DeepFashion\/InShopRetrieval\.html$/);
  });

  it.each<[string, RegExp]>([
    [line(30, 3, 'val'), /line 10, expected "image_name id_N train\|query\|gallery", got "img/],
    ['img/a.jpg 30 query', /line 10, expected/],
    ['img/a.jpg id_30', /line 10, expected/],
    ['../../a.jpg id_30 query', /line 10, names "\.\.\/\.\.\/a\.jpg": expected a path inside/],
    ['/img/a.jpg id_30 query', /leads outside/],
  ])('refuses %j', async (text, message) => {
    putList([...whole, text]);
    await expect(open()).rejects.toThrow(message);
  });

  it('says what does not fit together', async () => {
    putList([...whole, line(31, 1, 'query')], 12);
    for (const text of whole) put(imageOf(text));
    await open();
    expect(warnings).toEqual([
      expect.stringMatching(/announces 12 images and lists 8: it seems cut short/),
      expect.stringMatching(/expected 25,882/),
      expect.stringMatching(/1 class of queries is not in the gallery, the first is id_00000031/),
      expect.stringMatching(/1 of the 3 images that .*partition\.txt lists (is|are) missing, .*id_00000031/),
    ]);
    put('Eval/list_eval_partition.txt', 'image_name item_id evaluation_status\n');
    await expect(open()).rejects.toThrow(/line 1, expected the number of images, got "image_name/);
    put('Eval/list_eval_partition.txt', '');
    await expect(open()).rejects.toThrow(/line 1, expected the number of images, got ""/);
  });

  it('names the folder and what is there instead', async () => {
    await expect(open()).rejects.toThrow(
      /expected the file .*list_eval_partition\.txt \(or in a folder named In-shop Clothes Retrieval Benchmark, .* itself\), but .* has nothing in it; the data are at https/,
    );
    putList(whole);
    renameSync(join(folder, 'in-shop/Eval'), join(folder, 'in-shop/eval'));
    await expect(open()).rejects.toThrow(/in-shop has only eval; /);
  });
});
