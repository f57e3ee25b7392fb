import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, expect, it } from 'vitest';
import { archiveFolder } from './archive-folder.js';
import { type DatasetName, openDataset } from './open.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function put(path: string, contents = ''): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}

const names = { documented: 'sop', others: ['Stanford_Online_Products'], holds: ['Ebay_train.txt'] };

it.each([
  'sop',
  'SOP',
  'Stanford_Online_Products',
  'stanford-online-products',
  'Stanford Online Products/Stanford_Online_Products',
  '',
])('finds a data set in %j', async (place) => {
  put(join(place, 'Ebay_train.txt'));
  mkdirSync(join(folder, 'other'));
  expect(await archiveFolder(folder, names)).toBe(join(folder, place));
});

it('prefers the documented name, and follows a link of a known name', async () => {
  put('Stanford_Online_Products/Ebay_train.txt');
  put('elsewhere/Ebay_train.txt');
  symlinkSync('elsewhere', join(folder, 'sop'));
  expect(await archiveFolder(folder, names)).toBe(join(folder, 'sop'));
  rmSync(join(folder, 'elsewhere'), { recursive: true });
  expect(await archiveFolder(folder, names)).toBe(join(folder, 'Stanford_Online_Products'));
  rmSync(join(folder, 'Stanford_Online_Products', 'Ebay_train.txt'));
  expect(await archiveFolder(folder, names)).toBeNull();
});

it.each([
  ['cub', 'CUB_200_2011', 'images/001.A/1.jpg'],
  ['cars', 'Cars', 'cars_annos.mat'],
  ['sop', 'Stanford_Online_Products', 'Ebay_train.txt'],
  ['inshop', 'In-shop Clothes Retrieval Benchmark', 'Eval/list_eval_partition.txt'],
  ['inshop', 'inshop', 'Eval/list_eval_partition.txt'],
  ['vid', 'VehicleID_V1.0', 'train_test_split/train_list.txt'],
  ['vid', 'VehicleID/VehicleID_V1.0', 'train_test_split/train_list.txt'],
])('%s is found as %s and as the folder itself', async (dataset: string, place, file) => {
  put(join(place, file));
  const at = new RegExp(`${join(folder, place).replaceAll('.', '\\.')}[/: ]|${file.replaceAll('.', '\\.')}`);
  for (const given of [folder, join(folder, place)]) {
    const error = await openDataset(dataset as DatasetName & 'cub', { folder: given }).catch(
      (caught: unknown) => caught,
    );
    expect((error as Error).message).not.toMatch(/or in a folder named/);
    expect((error as Error).message).toMatch(at);
  }
  await expect(openDataset(dataset as DatasetName & 'cub', { folder: dirname(folder) })).rejects.toThrow(
    /expected the (file|folder) .* \(or in a folder named .*, or in .* itself\), but/,
  );
});
