import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { findImages } from './image-tree.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function put(path: string, contents: string | Uint8Array = ''): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}
const paths = async (of = folder) => (await findImages(of)).images.map(({ path }) => path);

describe('findImages', () => {
  it('walks into all folders, in the order of names, and gives size and time', async () => {
    for (const path of ['b.JPG', 'a/z/1.jfif', 'a/2.png', 'C/1.jpeg', '.hidden/1.jpg', 'a/._2.png'])
      put(path, 'x');
    expect(await paths()).toEqual(['C/1.jpeg', 'a/2.png', 'a/z/1.jfif', 'b.JPG']);
    const { images, leftOut } = await findImages(folder);
    expect([images[0]?.size, Math.abs(Date.now() - (images[0]?.modified ?? 0)) < 60_000]).toEqual([1, true]);
    expect(String(leftOut)).toBe('');
  });

  it('counts what it leaves out by kind, and says what can be done', async () => {
    for (const path of ['1.heic', 'a/2.HEIC', 'notes.txt', '3.heic', 'LICENSE', 'ok.png']) put(path);
    put('photo', Buffer.from([0xff, 0xd8, 0xff, 0xe0]));
    const { leftOut } = await findImages(folder);
    expect(String(leftOut)).toBe(
      '6 files left out: 3 .heic (the first is 1.heic; convert them, for example with heif-convert), ' +
        '1 without an extension (LICENSE), 1 .txt (notes.txt), ' +
        '1 without an extension though an image (photo; name them .jpg, .png, …)',
    );
    expect([leftOut.count('.heic'), leftOut.files, leftOut.folders]).toEqual([3, 6, 0]);
  });

  it('follows links, but not in circles nor to what it reads anyway', async () => {
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, '1.jpg'), '');
    symlinkSync(elsewhere, join(elsewhere, 'again'));
    put('a/1.jpg');
    const links = [
      ['a/1.jpg', 'b.jpg'],
      ['a', 'twin'],
      ['.', 'a/self'],
      ['..', 'a/up'],
      ['..', 'above'],
      ['circle.jpg', 'circle.jpg'],
      ['gone', 'gone.jpg'],
      [elsewhere, 'other'],
      [elsewhere, 'other-again'],
    ] as const;
    for (const [target, name] of links) symlinkSync(target, join(folder, name));
    const { images, leftOut } = await findImages(folder);
    expect(images.map(({ path }) => path)).toEqual(['a/1.jpg', 'b.jpg', 'other/1.jpg']);
    expect(String(leftOut)).toBe(
      '2 files left out: 2 linked to nothing (the first is circle.jpg); ' +
        '6 folders left out: 5 linked to what is read anyway (the first is a/self), 1 linked to a folder above (above)',
    );
  });

  it('counts names that are not UTF-8, files and folders', async () => {
    put('café.jpg');
    put('\uFFFD.jpg');
    writeFileSync(
      Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from('.jpg')]),
      '',
    );
    mkdirSync(Buffer.concat([Buffer.from(`${folder}/d`), Buffer.from([0xe8])]));
    const { images, leftOut } = await findImages(folder);
    expect(images.map(({ path }) => path)).toEqual(['café.jpg', '\uFFFD.jpg']);
    expect(String(leftOut)).toBe(
      '1 file left out: 1 with a name that is not UTF-8 (caf\\xe9.jpg; rename them, for example with convmv); ' +
        '1 folder left out: 1 with a name that is not UTF-8 (d\\xe8; rename them, for example with convmv)',
    );
  });

  it('refuses what is no folder', async () => {
    put('file');
    await expect(findImages(join(folder, 'no'))).rejects.toThrow(
      /no: expected a folder .* there is no such folder$/,
    );
    await expect(findImages(join(folder, 'file'))).rejects.toThrow(/it is a file$/);
    symlinkSync('loop', join(folder, 'loop'));
    await expect(findImages(join(folder, 'loop'))).rejects.toThrow(UserError);
  });
});
