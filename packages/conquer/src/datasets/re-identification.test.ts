import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { imageData } from '../data/image-data.js';
import { openMarket1501 } from './market-1501.js';
import { openMsmt17 } from './msmt17.js';
import { openVeri } from './veri.js';

function lay(files: Record<string, string>): string {
  const folder = temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const files = (folder: string, names: string[]) =>
  Object.fromEntries(names.map((name) => [`${folder}/${name}`, name]));
const view = {
  size: 8,
  resize: 8,
  reduction: null,
  input: { channels: 'RGB', scale: 1, mean: [0, 0, 0], std: [1, 1, 1], interpolation: 'bilinear' },
} as const;

it('Market-1501: junk is left out, distractors stay, and a query leaves out what its camera saw', async () => {
  const market = 'Market-1501-v15.09.15';
  const folder = lay({
    ...files(`${market}/bounding_box_train`, [
      '0002_c1s1_000451_03.jpg',
      '0002_c2s1_000301_01.jpg',
      '0007_c1s6_028546_01.jpg',
    ]),
    [`${market}/bounding_box_train/Thumbs.db`]: '',
    ...files(`${market}/query`, ['0001_c1s1_001051_00.jpg', '0003_c4s1_001051_00.jpg']),
    ...files(`${market}/bounding_box_test`, [
      '-1_c1s1_000401_03.jpg',
      '0000_c1s1_000151_01.jpg',
      '0001_c1s1_002301_02.jpg',
      '0001_c2s1_003301_02.jpg.jpg',
      '0003_c4s6_000001_01.jpg',
    ]),
  });
  await expect(openMarket1501({ folder })).rejects.toThrow(/expected 12,936 training images, found 3/);
  const warnings: string[] = [];
  const data = await openMarket1501({ folder, allowPartial: true, onWarning: (text) => warnings.push(text) });
  expect(data.train.classNames).toEqual(['0002', '0007']);
  expect(data.test.classNames).toEqual(['0000', '0001', '0003']);
  expect([...data.test.labels]).toEqual([1, 2]);
  expect([...data.gallery!.labels]).toEqual([0, 1, 1, 2]);
  expect([...data.gallery!.cameras!]).toEqual([1, 1, 2, 4]);
  const { ownInGallery, sameInGallery, withoutMatch } = await imageData(data, { view });
  expect([...ownInGallery!]).toEqual([
    [0, [1]],
    [1, [3]],
  ]);
  expect([...sameInGallery!]).toEqual([]);
  expect(withoutMatch).toBe('left out');
  const odd = lay(files(`${market}/query`, ['someone.jpg']));
  mkdirSync(join(odd, market, 'bounding_box_train'));
  await expect(openMarket1501({ folder: odd })).rejects.toThrow(
    /expected names such as .* in query, got "someone.jpg"/,
  );
});

it('VeRi-776 and MSMT17 say the camera in their names', async () => {
  const veri = lay({
    ...files('VeRi/image_train', [
      '0001_c001_00016450_0.jpg',
      '0001_c002_00016460_0.jpg',
      '0004_c003_1_0.jpg',
    ]),
    ...files('VeRi/image_query', ['0002_c002_00030600_0.jpg']),
    ...files('VeRi/image_test', ['0002_c002_00030605_1.jpg', '0002_c013_00030640_0.jpg']),
  });
  const vehicles = await openVeri({ folder: veri, allowPartial: true });
  expect([...vehicles.gallery!.cameras!]).toEqual([2, 13]);

  const named = (person: number, camera: string) =>
    `000${person}/000${person}_000_${camera}_0303morning_0015_0.jpg`;
  const lists = {
    list_train: [
      [named(0, '01'), 0],
      [named(0, '02'), 0],
    ],
    list_val: [[named(1, '03'), 1]],
    list_query: [[named(0, '14'), 0]],
    list_gallery: [
      [named(0, '05'), 0],
      [named(1, '15'), 1],
    ],
  } as const;
  const images = Object.entries(lists).flatMap(([list, lines]) =>
    lines.map(([path]) => [
      `MSMT17_V1/${/train|val/.test(list) ? 'train' : 'test'}/${path}`,
      `${list} ${path}`,
    ]),
  );
  const texts = Object.entries(lists).map(([list, lines]) => [
    `MSMT17_V1/${list}.txt`,
    lines.map((line) => line.join(' ')).join('\n'),
  ]);
  const folder = lay(Object.fromEntries([...images, ...texts]));
  const people = await openMsmt17({ folder, allowPartial: true });
  expect(people.train.paths).toHaveLength(3);
  expect([...people.test.cameras!]).toEqual([14]);
  expect([...people.gallery!.cameras!]).toEqual([5, 15]);
  expect([...people.gallery!.labels]).toEqual([0, 1]);
});
