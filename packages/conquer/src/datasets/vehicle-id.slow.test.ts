import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { openVehicleId } from './vehicle-id.js';

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = temporaryFolder();
  warnings = [];
});

const root = 'vehicle-id/VehicleID_V1.0';
function put(path: string, contents = ''): void {
  const file = join(folder, root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}
const open = (allowPartial = true) =>
  openVehicleId({ folder, allowPartial, onWarning: (message) => warnings.push(message) });

/** Two images for each of the vehicles, in the list and (as one file an image) on the disk. */
function putList(name: string, vehicles: number[], images = true): void {
  const lines = vehicles.flatMap((id) => [0, 1].map((i) => `${String(10 * id + i).padStart(7, '0')} ${id}`));
  put(`train_test_split/${name}.txt`, `${lines.join('\n')}\n`);
  if (images) for (const text of lines) put(`image/${text.split(' ')[0]}.jpg`);
}
const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

describe('openVehicleId', () => {
  it('reads three test sets; another number of training vehicles is only said', async () => {
    putList('train_list', [12, 3]);
    putList('test_list_800', range(20_000, 800));
    putList('test_list_1600', range(20_000, 1600), false);
    putList('test_list_2400', range(20_000, 2400));
    const { train, test, testSets = [], recallAt } = await open(false);
    expect([train.classNames, [...train.labels]]).toEqual([
      ['3', '12'],
      [1, 1, 0, 0],
    ]);
    expect(train.paths[0]).toBe(join(folder, root, 'image/0000120.jpg'));
    expect(testSets.map(({ name, classNames }) => [name, classNames.length])).toEqual([
      ['small', 800],
      ['medium', 1600],
      ['large', 2400],
    ]);
    expect(testSets[2]).toBe(test);
    expect(recallAt).toEqual([1, 5]);
    expect(warnings).toEqual(['vid: expected 13,164 vehicles in train_list.txt, found 2']);
  });

  it('says what is missing or wrong', async () => {
    putList('train_list', [12, 3]);
    for (const size of [800, 1600, 2400]) putList(`test_list_${size}`, [1, 2]);
    await expect(open(false)).rejects.toThrow(
      /^allowPartial: vid: expected 800 vehicles in test_list_800\.txt, found 2 in .*VehicleID_V1\.0 \(this option takes .*pkuml/,
    );
    expect((await open()).testSets).toHaveLength(3);
    rmSync(join(folder, root, 'image/0000030.jpg'));
    warnings = [];
    expect((await open()).train.paths).toHaveLength(3);
    expect(warnings[1]).toMatch(
      /1 of the 4 images that train_list\.txt lists (is|are) missing, .*0000030\.jpg/,
    );
    for (const text of ['0000120', '0000120 x', '0000120 1 2', '0000120 -1']) {
      put('train_test_split/train_list.txt', `0000120 12\n${text}\n`);
      await expect(open()).rejects.toThrow(/train_list\.txt, line 2, expected "image_name vehicle_id", got/);
    }
    for (const path of ['../x', '/x', 'a/../../x']) {
      put('train_test_split/train_list.txt', `${path} 12\n`);
      await expect(open()).rejects.toThrow(/leads outside/);
    }
    rmSync(join(folder, root, 'train_test_split/train_list.txt'));
    await expect(open()).rejects.toThrow(
      /train_test_split has only test_list_1600\.txt, test_list_2400\.txt/,
    );
  });
});
