import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../error.js';
import { openCsv } from './csv.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-csv-'));
  mkdirSync(join(folder, 'a'));
  for (const name of ['1', '2', '3', '4', '5, "six"']) writeFileSync(join(folder, 'a', `${name}.png`), '');
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(text: string, allowPartial = false) {
  writeFileSync(join(folder, 'list.csv'), text);
  return openCsv({ folder: join(folder, 'list.csv'), allowPartial });
}
async function problem(text: string, allowPartial = false): Promise<string> {
  const error = await open(text, allowPartial).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).not.toContain('\n');
  return (error as UserError).message;
}

const train = 'a/1.png,x,train\na/2.png,x,train\na/3.png,y,train\n';

describe('openCsv', () => {
  it('reads quoted cells, a header, any line ends and a byte order mark', async () => {
    const rows = ['path,label,split', 'a/1.png,x,train', ' a/2.png , x ,train', '', 'a/3.png,"y, z",train'];
    const tests = ['"a/5, ""six"".png",t,test', 'a/4.png,"multi\nline",test', 'a/4.png,t,test'];
    const dataset = await open(`\uFEFF${[...rows, ...tests].join('\r\n')}`);
    expect(dataset.name).toBe('list');
    expect(dataset.train.classNames).toEqual(['x', 'y, z']);
    expect(dataset.train.paths).toEqual(['1', '2', '3'].map((name) => join(folder, 'a', `${name}.png`)));
    expect(dataset.test.classNames).toEqual(['multi\nline', 't']);
    expect(dataset.test.paths[0]).toBe(join(folder, 'a', '5, "six".png'));
    expect(Array.from(dataset.test.labels)).toEqual([1, 0, 1]);
    expect(dataset.gallery).toBeUndefined();
    expect(await openCsv({ folder })).toEqual(dataset);
  });

  it('follows links within its folder, and refuses those that lead outside', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'conquer-csv-elsewhere-'));
    writeFileSync(join(elsewhere, '1.png'), '');
    const tests = 'a/4.png,t,test\na/4.png,t,test\na/1.png,u,test\n';
    symlinkSync(join(folder, 'a', '1.png'), join(folder, 'a', 'inside.png'));
    expect((await open(`${train}a/inside.png,x,train\n${tests}`)).train.paths).toHaveLength(4);
    symlinkSync(elsewhere, join(folder, 'b'));
    symlinkSync(join(elsewhere, '1.png'), join(folder, 'a', 'outside.png'));
    for (const path of ['b/1.png', 'a/outside.png'])
      expect(await problem(`${train}${path},x,train\n${tests}`)).toMatch(
        /is a link to .*elsewhere.*, outside of/,
      );
    const link = `${folder}-link`;
    symlinkSync(folder, link);
    await open(`${train}${tests}`);
    expect((await openCsv({ folder: join(link, 'list.csv') })).train.paths[0]).toBe(join(link, 'a', '1.png'));
    rmSync(link);
    rmSync(elsewhere, { recursive: true });
  });

  it('tells queries from the gallery, with labels of one numbering', async () => {
    const tests = 'a/1.png,q,test,query\na/2.png,p,test,gallery\na/3.png,q,test,gallery\n';
    const { test, gallery } = await open(train + tests);
    expect([test.name, test.classNames, [...test.labels]]).toEqual(['query', ['p', 'q'], [1]]);
    expect([gallery?.classNames, [...(gallery?.labels ?? [])]]).toEqual([
      ['p', 'q'],
      [0, 1],
    ]);
  });

  it.each<[string, RegExp]>([
    ['a/4.png,t', /list\.csv, line 4: expected path,label,train or .*, got "a\/4\.png,t"/],
    ['a/4.png,t,val', /line 4: expected path,label,train/],
    ['a/4.png,t,train,query', /line 4: expected path,label,train/],
    ['a/4.png,t,test,other', /line 4: expected path,label,train/],
    ['a/4.png,t,test,query,more', /line 4: expected path,label,train/],
    [',t,test', /line 4: expected path,label,train/],
    ['a/4.png,,test', /line 4: expected path,label,train/],
    ['"a/4.png,t,test', /line 4: a quotation mark/],
    ['a/4.png,t"t,test', /line 4: a quotation mark/],
    ['../4.png,t,test', /line 4: .*"\.\.\/4\.png" leads outside/],
    ['a/../../4.png,t,test', /leads outside/],
    ['/etc/passwd,t,test', /leads outside/],
    ['a\\..\\..\\4.png,t,test', /leads outside/],
    ['C:\\4.png,t,test', /leads outside/],
    ['a/4.png,x,test\na/3.png,t,test', /the class "x" is in train and in test/],
    ['a/4.png,t,test\na/3.png,t,test,query', /query or gallery in each test line or in none/],
    [
      'a/4.png,t,test\na/9.png,t,test',
      /1 of the 2 images that list\.csv lists are missing, the first is .*9\.png/,
    ],
    ['a/4.png,t,test', /at least 2 classes and a class with 2 images for test, found 1 images of 1 classes/],
    ['a/4.png,t,test,query\na/3.png,s,test,gallery', /queries whose class is in the gallery/],
  ])('refuses %j', async (line, message) => {
    expect(await problem(train + line)).toMatch(message);
  });

  it('takes what is there of the images with allowPartial', async () => {
    const tests = 'a/1.png,q,test\na/9.png,p,test\na/3.png,q,test\na/4.png,r,test\n';
    expect((await open(train + tests, true)).test.classNames).toEqual(['q', 'r']);
  });

  it('finds the file in a folder, when there is one', async () => {
    await expect(openCsv({ folder: join(folder, 'no') })).rejects.toThrow(/no is not there/);
    await expect(openCsv({ folder })).rejects.toThrow(/expected one \.csv file in .*, found none/);
    for (const name of ['a.csv', 'b.CSV']) writeFileSync(join(folder, name), '');
    await expect(openCsv({ folder })).rejects.toThrow(/found a\.csv, b\.CSV; give the file/);
  });
});
