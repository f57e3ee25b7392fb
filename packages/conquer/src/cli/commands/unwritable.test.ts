import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { canMount } from '@conquer-dml/testing/can-mount';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openAnyIndex } from '../../retrieve/any-index.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { StoreIndex } from '../../retrieve/store-index.js';
import { type ItemsCommand, runItems } from './items.js';

const silent = () => new Writable({ write: (_, __, done) => done() });
const items = async (options: Partial<ItemsCommand> & { index: string }) =>
  await runItems({ out: silent(), progress: silent(), ...options });

const isRoot = process.getuid?.() === 0;
/** Root may write where nobody may: for it a disk is mounted, where that can be done. */
const mounts = isRoot && canMount();

if (isRoot && !mounts) process.stderr.write('SKIPPED: disks that cannot be written: root has to mount one\n');

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = join(temporaryFolder(), 'disk');
  mkdirSync(folder);
  if (isRoot) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder]);
});
afterEach(() => {
  // A file of SQLite stays open until what was asked of it is collected.
  if (isRoot) execFileSync('umount', ['--lazy', folder]);
  else execFileSync('chmod', ['-R', 'u+w', folder]);
});

/** What may not be written from now on is put there whole: a file that is open still would forbid it. */
function forbidWriting(from: string, path: string): void {
  cpSync(from, path, { recursive: true });
  if (isRoot) execFileSync('mount', ['-o', 'remount,ro', folder]);
  else for (const place of [folder, path]) chmodSync(place, 0o555);
}

const rows = [Float32Array.of(1, 0), Float32Array.of(0, 1)];
const named = [{ id: 'a' }, { id: 'b' }];
const there = 'the disk is read-only|there is no permission';

it.runIf(!isRoot || mounts).each([
  [
    'usearch',
    'an.index',
    new RegExp(`an\\.index/writing\\.json cannot be written: (${there}); copy what is there to`),
  ],
  [
    'lancedb',
    'a.lance',
    new RegExp(`a\\.lance/writing\\.json cannot be written: (${there}); copy what is there to`),
  ],
  ['sqlite', 'a.db', /a\.db cannot be opened: .*; copy it to a place that can be written$/],
] as const)(
  'an index of %s that cannot be written is read, and changed in no way',
  async (kind, name, said) => {
    const index = `${kind}:${at(name)}`;
    const before = join(temporaryFolder(), name);
    if (kind === 'usearch') {
      using made = ImageIndex.of(rows, named);
      made.save(before);
    } else {
      await using made = await StoreIndex.openOrCreate(`${kind}:${before}`, 2);
      await made.add(rows, named);
    }
    forbidWriting(before, at(name));
    await expect(items({ index, remove: ['a'] })).rejects.toThrow(said);
    await using opened = await openAnyIndex(index);
    const found = await opened.search(rows, 1);
    expect(found.map(([match]) => match!.id)).toEqual(['a', 'b']);
  },
);
