import { expect, it } from 'vitest';
import { openAnyIndex } from '../any-index.js';
import { folderOf } from './stores.js';

it('says which store a mistyped name may mean, and takes a path for a path', async () => {
  await expect(openAnyIndex('lancdb:photos')).rejects.toThrow(
    /^expected lancedb:.*, got lancdb:photos.*lancedb/,
  );
  await expect(openAnyIndex('/nowhere/a:b')).rejects.toThrow(/there is no manifest\.json in it/);
});

it('gives the folder of what has to lie in one, and refuses stores of others', () => {
  expect(folderOf('usearch:photos.index')).toBe('photos.index');
  expect(folderOf('runs/mine')).toBe('runs/mine');
  expect(() => folderOf('sqlite:photos.db')).toThrow(
    /^sqlite:photos\.db: expected an index in a folder, this one is in a store/,
  );
});
