import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeEach, describe, expect, it } from 'vitest';
import { openCsv } from './csv.js';
import { parseCsv } from './csv-rows.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'a'));
  for (const name of ['1', '2', '3', '4', '5, "six"', '6', '7', '8', '9'])
    writeFileSync(join(folder, 'a', `${name}.png`), '');
});

function open(text: string, allowPartial = false) {
  writeFileSync(join(folder, 'list.csv'), text);
  return openCsv({ file: join(folder, 'list.csv'), allowPartial });
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
    const tests = ['"a/5, ""six"".png",t,test', 'a/6.png,"multi\nline",test', ' "a/4.png" , "t",test'];
    const dataset = await open(`\uFEFF${[...rows, ...tests].join('\r\n')}`);
    expect(dataset.name).toBe('list');
    expect(dataset.train.classNames).toEqual(['x', 'y, z']);
    expect(dataset.train.paths).toEqual(['1', '2', '3'].map((name) => join(folder, 'a', `${name}.png`)));
    expect(dataset.test.classNames).toEqual(['multi\nline', 't']);
    expect(dataset.test.paths[0]).toBe(join(folder, 'a', '5, "six".png'));
    expect(Array.from(dataset.test.labels)).toEqual([1, 0, 1]);
    expect(dataset.gallery).toBeUndefined();
    expect(await openCsv({ file: folder })).toEqual(dataset);
  });

  it('follows links within its folder, and refuses those that lead outside', async () => {
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, '1.png'), '');
    const tests = 'a/4.png,t,test\na/6.png,t,test\na/7.png,u,test\n';
    symlinkSync(join(folder, 'a', '8.png'), join(folder, 'a', 'inside.png'));
    expect((await open(`${train}a/inside.png,x,train\n${tests}`)).train.paths).toHaveLength(4);
    symlinkSync(elsewhere, join(folder, 'b'));
    symlinkSync(join(elsewhere, '1.png'), join(folder, 'a', 'outside.png'));
    for (const path of ['b/1.png', 'a/outside.png'])
      expect(await problem(`${train}${path},x,train\n${tests}`)).toMatch(
        new RegExp(`is a link to ${elsewhere}.*, outside of ${folder}`),
      );
    const link = `${folder}-link`;
    symlinkSync(folder, link);
    await open(`${train}${tests}`);
    expect((await openCsv({ file: join(link, 'list.csv') })).train.paths[0]).toBe(join(link, 'a', '1.png'));
    rmSync(link);
  });

  it('tells queries from the gallery, with labels of one numbering', async () => {
    const tests = 'a/6.png,q,test,query\na/7.png,p,test,gallery\na/8.png,q,test,gallery\n';
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
    ['.,t,test', /leads outside/],
    ['a/gone.png,t,test\na\\\\4.png,t,test', /missing, the first is .*gone\.png \(/],
    [
      'a\\\\4.png,t,test\na\\\\5.png,t,test',
      /missing, the first is .* it has backslashes: write paths with slashes/,
    ],
    ['a/4.png;t;test', /line 4: .*semicolons: save it with commas/],
    ['a/4.png\tt\ttest', /line 4: .*tabs: save it with commas/],
    ['a/4.png,t,test\r', /line 4: a carriage return/],
    ['a/4.png,t,\rtest', /line 4: a carriage return/],
    ['a/4.png,x,test\na/3.png,t,test', /the class "x" is in train and in test/],
    ['a/4.png,t,test\na/3.png,t,test,query', /query or gallery in each test line or in none/],
    [
      'a/4.png,t,test\na/gone.png,t,test',
      /1 of the 2 images that list\.csv lists (is|are) missing, the first is .*gone\.png/,
    ],
    ['a/4.png,t,test', /at least 2 classes and a class with 2 images for test, found 1 image of 1 class in/],
    ['a/4.png,t,test,query\na/3.png,s,test,gallery', /queries whose class is in the gallery/],
  ])('refuses %j', async (line, message) => {
    expect(await problem(train + line)).toMatch(message);
  });

  it('takes Train and TEST, and paths that go up and down inside', async () => {
    const dataset = await open(
      'Path,Label,Split,Role\na/../a/1.png,x,Train\n./a//2.png,x,TRAIN\na/3.png,y,train\na/4.png,t,Test,Query\na/6.png,t,test,GALLERY\n',
    );
    expect(dataset.train.paths.slice(0, 2)).toEqual(
      ['1', '2'].map((name) => join(folder, 'a', `${name}.png`)),
    );
    expect(dataset.gallery?.paths).toHaveLength(1);
  });

  it('without a split column, divides the classes as it is told', async () => {
    const rows = 'a/1.png,x\na/2.png,x\na/3.png,y\na/4.png,t,\na/6.png,t\na/7.png,z\na/8.png,z\n';
    for (const text of [rows, `path,label\n${rows}`, `path,label,split\n${rows}`]) {
      const { train: trains, test } = await open(text);
      expect([trains.classNames, test.classNames]).toEqual([
        ['t', 'x'],
        ['y', 'z'],
      ]);
    }
    writeFileSync(join(folder, 'list.txt'), 'y\nz\n');
    const split = { kind: 'list', file: join(folder, 'list.txt') } as const;
    const file = join(folder, 'list.csv');
    writeFileSync(file, rows);
    const listed = await openCsv({ file, split });
    expect(listed.train.classNames).toEqual(['y', 'z']);
    const drawn = await openCsv({ file, split: { kind: 'fraction', fraction: 0.5, seed: 1 } });
    expect(drawn.train.classNames).toHaveLength(2);
    writeFileSync(file, `${train}a/4.png,t,test\n`);
    await expect(openCsv({ file, split })).rejects.toThrow(/has a split column/);
    expect(await problem(`${rows}a/9.png,w,test`)).toMatch(/line 1: expected path,label,train/);
  });

  it.each<[string, Buffer, RegExp]>([
    [
      'Latin-1',
      Buffer.from(`${train}a/4.png,caf\xe9,test\n`, 'latin1'),
      /line 4: expected UTF-8, got the byte 0xe9/,
    ],
    [
      'UTF-16',
      Buffer.from(`\uFEFF${train}`, 'utf16le'),
      /list\.csv: expected UTF-8, it is in UTF-16; save it/,
    ],
    ['UTF-16 without a mark', Buffer.from(train, 'utf16le'), /line 1: expected UTF-8, got a zero byte/],
    ['CR alone', Buffer.from(train.replaceAll('\n', '\r')), /its lines end in CR alone/],
  ])('names %s for what it is', async (_, bytes, message) => {
    writeFileSync(join(folder, 'list.csv'), bytes);
    await expect(openCsv({ file: folder })).rejects.toThrow(message);
  });

  it('takes what is there of the images with allowPartial', async () => {
    const tests = 'a/6.png,q,test\na/gone.png,p,test\na/7.png,q,test\na/4.png,r,test\n';
    expect((await open(train + tests, true)).test.classNames).toEqual(['q', 'r']);
  });

  it('finds the file in a folder, when there is one', async () => {
    await expect(openCsv({ file: join(folder, 'no') })).rejects.toThrow(/no is not there/);
    await expect(openCsv({ file: folder })).rejects.toThrow(/expected one \.csv file in .*, found none/);
    for (const name of ['a.csv', 'b.CSV']) writeFileSync(join(folder, name), '');
    await expect(openCsv({ file: folder })).rejects.toThrow(/found a\.csv, b\.CSV; give the file/);
  });
});

describe('columns by name', () => {
  it('have to name the one of the paths', async () => {
    expect(await problem('file,label\na/1.png,x\n')).toMatch(
      /list\.csv, line 1: expected a column called path among the names, got file, label$/,
    );
    // A class may be called so.
    expect(await problem('a/gone.png,label\n')).toMatch(/the first is .*gone\.png/);
  });

  it('come in any order, and say which images are queries, in the gallery or both', async () => {
    const rows = [
      'split,query,path,gallery,label',
      'train,,a/1.png,,x',
      'train,,a/2.png,,x',
      'train,0,a/3.png,no,y',
    ];
    const dataset = await open(
      [...rows, 'test,yes,a/4.png,no,t', 'test,1,a/6.png,1,t', ',false,a/7.png,TRUE,u'].join('\n'),
    );
    const names = (paths: string[] = []) => paths.map((path) => path.slice(-5));
    expect(names(dataset.test.paths)).toEqual(['4.png', '6.png']);
    expect(names(dataset.gallery?.paths)).toEqual(['6.png', '7.png']);
    expect([...dataset.test.labels, ...(dataset.gallery?.labels ?? [])]).toEqual([0, 0, 0, 1]);
  });

  it('need no training images, to evaluate a model on', async () => {
    const { train, test, gallery } = await open(
      'path,label,role\na/1.png,x,query\na/2.png,x,gallery\na/3.png,y,both\n',
    );
    expect([train.paths.length, test.paths.length, gallery?.paths.length]).toEqual([0, 2, 2]);
    expect(test.name).toBe('query');
  });

  it('make boxes images of their own', async () => {
    const image = sharp({ create: { width: 40, height: 30, channels: 3, background: 'red' } });
    await image.png().toFile(join(folder, 'a', 'scene.png'));
    // As it is seen it is 30 wide and 40 high.
    await image
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toFile(join(folder, 'a', 'turned.jpg'));
    const header = 'path,label,split,x,y,w,h';
    const rows = [
      'a/scene.png,x,train,0,0,10,10',
      'a/scene.png,x,train,10,0,10,10',
      'a/scene.png,y,train,20,0,20,30',
      'a/scene.png,z,test,0,10,10,10',
      'a/turned.jpg,z,test,0,10,30,30',
      'a/1.png,w,test,,,,',
    ];
    const warnings: string[] = [];
    writeFileSync(join(folder, 'list.csv'), [header, ...rows].join('\n'));
    const { train, test } = await openCsv({
      file: folder,
      onWarning: (text) => void warnings.push(text),
    });
    expect(train.paths.map((path) => path.slice(-22))).toEqual(
      ['cene.png#xywh=0,0,10,10', 'ene.png#xywh=10,0,10,10', 'ene.png#xywh=20,0,20,30'].map((path) =>
        path.slice(-22),
      ),
    );
    expect(test.paths.at(-1)).toBe(join(folder, 'a', '1.png'));
    expect(warnings.join()).not.toMatch(/copies|more than once/);
    const twice = await open([header, ...rows, rows[0]].join('\n'));
    expect(twice.train.paths).toHaveLength(3);
    expect(await problem([header, ...rows, 'a/scene.png,y,train,0,0,10,10'].join('\n'))).toContain(
      'two labels',
    );
    expect(await problem([header, ...rows, 'a/turned.jpg,z,test,10,0,30,30'].join('\n'))).toMatch(
      /line 8: expected a box inside of .*turned\.jpg, which has 30×40 pixels as it is seen \(after its EXIF orientation\), got x 10, y 0, w 30, h 30$/,
    );
  });

  it('give an image several labels', async () => {
    const { train, test } = await open(
      `path,labels,split\na/1.png,x;y,train\na/2.png, y ; x;x,train\na/3.png,y,train\na/4.png,t,test\na/6.png,u;t,test\n`,
    );
    expect(train.classNames).toEqual(['x', 'y']);
    expect([...train.labels]).toEqual([0, 1, 1]);
    expect(train.labelSets?.map((set) => [...set])).toEqual([[0, 1], [1, 0], [1]]);
    expect(test.labelSets?.map((set) => [...set])).toEqual([[0], [1, 0]]);
  });

  it('category is that of the class, where all have one', async () => {
    const rows = (first: string) =>
      `path,label,category,split\na/1.png,x,${first},train\na/2.png,y,shoes,train\na/3.png,y,shoes,train\na/4.png,t,hats,test\na/6.png,t,hats,test\na/7.png,u,hats,test\n`;
    expect((await open(rows('hats'))).train.categories).toEqual(['hats', 'shoes']);
    expect((await open(rows(''))).train.categories).toBe(undefined);
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown name',
      'path,label,kind,split\na/1.png,x,y,train\n',
      /line 1: expected columns called path, .*, got "kind"/,
    ],
    ['a name twice', 'path,label,split,label\n', /line 1: the column label is there twice/],
    ['half a box', 'path,label,x,y\n', /all of the columns x, y, w, h or none, w, h is missing/],
    ['both labels', 'path,label,labels,split\n', /either the column label or labels/],
    [
      'a fraction',
      `path,split,label,x,y,w,h\na/1.png,train,x,0.5,0,3,3\n`,
      /line 2: .*no fractions of them, got 0.5,0,3,3/,
    ],
    [
      'a box beside',
      `path,split,label,x,y,w,h\na/1.png,train,x,-1,0,3,3\n`,
      /line 2: .*none below 0, got -1,0,3,3/,
    ],
    [
      'an empty box',
      `path,split,label,x,y,w,h\na/1.png,train,x,1,0,3,0\n`,
      /line 2: .*of at least 1, got 1,0,3,0/,
    ],
    [
      'a missing number',
      `path,split,label,x,y,w,h\na/1.png,train,x,1,,3,3\n`,
      /line 2: expected a box of whole pixels/,
    ],
    [
      'what is no answer',
      'path,label,query,gallery\na/1.png,x,maybe,1\n',
      /line 2: expected yes or no .* as query, got "maybe"/,
    ],
    [
      'too many cells',
      'path,label,role\na/1.png,x,query,more\n',
      /line 2: expected 3 cells, as the first line has, got 4/,
    ],
    [
      'labels without a split',
      'path,labels\na/1.png,x;y\n',
      /line 2: an image of several labels belongs to no one class/,
    ],
  ])('refuses %s', async (_, text, message) => {
    expect(await problem(text)).toMatch(message);
  });
});

it('rows of plain cells are parted as those with quotes or CRLF are', async () => {
  const rows = [' a , b', 'c,,', ',', '', 'd', 'e,f,g,', 'h,i'];
  const plain = parseCsv(rows.join('\n'), 'x');
  expect(plain.map(({ cells, line }) => [line, cells])).toEqual([
    [1, ['a', 'b']],
    [2, ['c', '', '']],
    [5, ['d']],
    [6, ['e', 'f', 'g', '']],
    [7, ['h', 'i']],
  ]);
  expect(parseCsv(rows.join('\r\n'), 'x')).toEqual(plain);
  expect(parseCsv(`${rows.join('\n')}\n`, 'x')).toEqual(plain);
  const [quoted, ...others] = parseCsv(`"q\nr",s\n${rows.join('\n')}`, 'x');
  expect(quoted).toEqual({ cells: ['q\nr', 's'], line: 1 });
  expect(others).toEqual(plain.map(({ cells, line }) => ({ cells, line: line + 2 })));
});
