import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { RunFolder, UserError } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, tensor, writeSafetensors } from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { ImageIndex } from '../../retrieve/image-index.js';
import { indexFolder } from '../../retrieve/index-folder.js';
import { openModel } from '../../retrieve/open-model.js';
import { drawnExperiment, drawnRun, saveDrawn } from '../../testing/saved-run.js';
import { type IndexCommand, runIndex } from './index-images.js';
import { runSearch, type SearchCommand } from './search.js';

let folder: string;
let run: string;
const at = (...parts: string[]) => join(folder, ...parts);

function draw(path: string, hue: number): void {
  writeFileSync(path, discSvg({ width: 40, x: 20, y: 16, r: 8 + (hue % 7), fill: `hsl(${hue},90%,50%)` }));
}

/** Eight pictures in two folders. */
function drawAlbum(path: string, hue = 0): void {
  for (const [i, inside] of ['a', 'b'].entries()) {
    mkdirSync(join(path, inside), { recursive: true });
    for (let j = 0; j < 4; j++) draw(join(path, inside, `${j}.svg`), hue + 50 * i + 11 * j);
  }
}

beforeEach(() => {
  folder = temporaryFolder();
  run = drawnRun(at('runs', 'a'), drawnExperiment());
  drawAlbum(at('album'));
});

/** Takes what is printed. */
class Printed extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

async function index(images: string, options: Partial<IndexCommand> = {}) {
  const [out, warnings] = [new Printed(), new Printed()];
  const fixed = { checkpoint: 'best', threads: null, onBadImage: 'skip', json: true } as const;
  await runIndex({ run, folder: images, ...fixed, progress: warnings, out, ...options });
  return { ...(JSON.parse(out.text) as { index: string }), warnings: warnings.text };
}

async function search(file: string, images: string[], options: Partial<SearchCommand> = {}) {
  const [out, warnings] = [new Printed(), new Printed()];
  const unanswered = await runSearch({ file, images, top: '2', json: true, out, warnings, ...options });
  const lines = out.text.trim().split('\n');
  const answers = options.json === false ? [] : lines.map((text) => JSON.parse(text) as Answer);
  return { unanswered, answers, text: out.text, warnings: warnings.text };
}
interface Answer {
  error?: string;
  matches?: { path: string | null; missing?: boolean }[];
}
const paths = (answer: Answer | undefined) =>
  (answer?.matches ?? []).map(({ path, missing }) => (missing ? `missing ${path}` : path));

/** An index as earlier versions wrote it: paths and stamps only, and of the first what was seen is not known. */
function saveEarlier(file: string, of: ImageIndex, format: string, others: Record<string, string>): void {
  const images = [...of.items()].map((item) => item.images[0]!);
  const { folder, source, embedder, checkpoint, preprocessing } = of.origin!;
  const { input: _, ...seen } = preprocessing!;
  using paths = tensor(new TextEncoder().encode(images.map(({ path }) => path).join('\0')));
  const numbers = images.flatMap(({ stamp }) => [stamp!.size, stamp!.modified]);
  using stamps = tensor(Float64Array.from(numbers), { shape: [images.length, 2] });
  using rows = of.allRows();
  const tensors = new Map([
    ['embeddings', rows],
    ['paths', paths],
    ['stamps', stamps],
  ]);
  const second = {
    relative_folder: 'album',
    relative_run: 'runs/a',
    preprocessing: JSON.stringify(seen),
  };
  const metadata = {
    format,
    folder,
    run: source!,
    sha256: embedder,
    checkpoint: checkpoint!,
    ...(format.endsWith('2') && second),
    ...others,
  };
  writeSafetensors(file, tensors, metadata, { checksum: true });
}

describe('conquer index', () => {
  it('never writes over an index of another folder, checkpoint or run', async () => {
    mkdirSync(at('shop'));
    mkdirSync(at('home'));
    cpSync(at('album'), at('shop', 'images'), { recursive: true });
    drawAlbum(at('home', 'images'), 100);
    const { index: file } = await index(at('shop', 'images'));
    const before = readFileSync(join(file, 'manifest.json'));
    const refuse = async (images: string, options: Partial<IndexCommand>, why: RegExp) => {
      await expect(index(images, options)).rejects.toThrow(UserError);
      await expect(index(images, options)).rejects.toThrow(why);
      expect(readFileSync(join(file, 'manifest.json')).equals(before)).toBe(true);
    };
    await refuse(at('home', 'images'), {}, /is an index of .*shop\/images: name another one .* with --out/);
    saveDrawn(RunFolder.open(run).lastCheckpoint, drawnExperiment(), 2);
    await refuse(at('shop', 'images'), { checkpoint: 'last' }, /is an index by the best checkpoint/);
    const other = drawnRun(at('runs', 'b'), drawnExperiment(), 3);
    const into = { run: other, file };
    await refuse(at('shop', 'images'), into, /is an index by the run .*runs\/a/);
    // The images of both are there, of the same names.
    expect(await index(at('home', 'images'), { file: at('home.index') })).toMatchObject({ embedded: 8 });
    // The library refuses it too.
    using model = await openModel(run);
    using home = (await indexFolder(model, at('home', 'images'))).index;
    expect(() => home.save(file)).toThrow(/is an index of .*shop\/images: it is not written over/);
    expect(() => home.save(RunFolder.open(run).bestCheckpoint)).toThrow(
      /expected the name of a folder, it is a file/,
    );
  });

  it('knows a folder that was moved or is reached through a link, and a model that was trained on', async () => {
    const file = at('i.index');
    await index(at('album'), { file });
    symlinkSync(at('album'), at('link'));
    expect(await index(at('link'), { file })).toMatchObject({ images: 8, embedded: 0 });
    rmSync(at('link'));
    renameSync(at('album'), at('elsewhere'));
    draw(at('elsewhere', 'b', 'new.svg'), 200);
    expect(await index(at('elsewhere'), { file })).toMatchObject({ images: 9, embedded: 1, removed: 0 });
    saveDrawn(RunFolder.open(run).bestCheckpoint, drawnExperiment(), 2);
    await expect(search(file, [at('elsewhere', 'a', '0.svg')])).rejects.toThrow(
      /i\.index: the index was made with other weights .* index the folder again/,
    );
    expect(await index(at('elsewhere'), { file })).toMatchObject({ images: 9, embedded: 9 });
  });

  it('embeds what is good once, and counts and names what it leaves out', async () => {
    const live = liveTensors();
    for (const name of ['a/empty.jpg', 'a/cut.png', 'empty.svg']) writeFileSync(at('album', name), '');
    for (const name of ['a/1.heic', 'a/2.heic', 'notes.txt']) writeFileSync(at('album', name), 'x');
    writeFileSync(
      Buffer.concat([Buffer.from(`${at('album')}/caf`), Buffer.from([0xe9, 0x2e, 0x6a, 0x70, 0x67])]),
      '',
    );
    symlinkSync('.', at('album', 'self'));
    symlinkSync('gone.jpg', at('album', 'gone.jpg'));
    const { warnings, ...counts } = await index(at('album'), { file: at('i.index') });
    expect(counts).toMatchObject({ images: 8, embedded: 8, leftOut: 8 });
    const lines = warnings.split('\n');
    expect(lines.filter((text) => text.endsWith('it is left out'))).toHaveLength(3);
    expect(warnings).toMatch(
      /warning: 8 files left out: 3 broken \(the first is a\/cut\.png\), 2 \.heic \(.*heif-convert\), .*1 \.txt \(notes\.txt\).*; 1 folder left out/,
    );
    expect(warnings).toContain('caf\\xe9.jpg');
    const strict = index(at('album'), { file: at('j.index'), onBadImage: 'fail' });
    await expect(strict).rejects.toThrow(/cannot read the image .*: the file is empty/);
    expect(existsSync(at('j.index'))).toBe(false);
    expect(liveTensors()).toBe(live);
  });

  it('says each thing in one line, whatever a file is called', async () => {
    const name = 'two\nlines\u001b[2J.svg';
    writeFileSync(at('album', `bad ${name}`), '');
    draw(at('album', name), 300);
    draw(at('query.svg'), 300);
    const { warnings } = await index(at('album'), { file: at('i.index') });
    expect(
      warnings
        .trim()
        .split('\n')
        .map((text) => text.slice(0, 9)),
    ).toEqual(['warning: ', 'warning: ']);
    const { text } = await search(at('i.index'), [at('query.svg')], { json: false, top: '1' });
    expect(text).toMatch(/^.*query\.svg\n {2}1 {2}1\.000 {2}.*two\?lines\?\[2J\.svg\n$/);
  });

  it('gives each good image to the network once, however many are bad', async () => {
    for (let i = 0; i < 20; i++) writeFileSync(at('album', 'a', `bad${i}.jpg`), '');
    using model = await openModel(run);
    const network = model.model;
    const embed = network.embed.bind(network);
    let rows = 0;
    network.embed = (images, options) => {
      rows += images.size(0);
      return embed(images, options);
    };
    using found = (await indexFolder(model, at('album'))).index;
    expect([found.count, rows]).toEqual([8, 8]);
  });

  it('says before it embeds anything that the file cannot be written', async () => {
    const refuse = (file: string) => expect(index(at('nowhere'), { file })).rejects;
    await refuse(at('no', 'i.index')).toThrow(
      /^--out .*: there is no folder .*\/no; make it, or name another$/,
    );
    await refuse(at('album')).toThrow(
      /expected the folder of an index or an empty one, it holds other files/,
    );
    await refuse(at('album', 'a', '0.svg')).toThrow(/expected a folder, it is a file/);
    await refuse(at('album', 'a', '0.svg', 'i.index')).toThrow(/0\.svg is not a folder$/);
    await expect(index(at('album'), { file: at('album', 'a', '0.svg') })).rejects.toThrow(UserError);
    await expect(index(at('nowhere'))).rejects.toThrow(/nowhere: expected a folder of images/);
  });
});

describe('conquer search', () => {
  const query = () => [at('query.svg')];
  beforeEach(() => draw(at('query.svg'), 50));

  it('answers the queries that can be read, and names the others', async () => {
    await index(at('album'), { file: at('i.index') });
    writeFileSync(at('empty.jpg'), '');
    const images = [at('empty.jpg'), ...query(), at('gone.png'), at('album', 'a', '0.svg')];
    const { unanswered, answers, warnings } = await search(at('i.index'), images);
    expect(unanswered).toBe(2);
    expect(answers.map(({ error }) => error)).toEqual([
      expect.stringMatching(/the file is empty$/),
      undefined,
      expect.stringMatching(/no such file$/),
      undefined,
    ]);
    expect(paths(answers[1])[0]).toBe(at('album', 'b', '0.svg'));
    expect(paths(answers[3])[0]).toBe(at('album', 'a', '0.svg'));
    expect(warnings.split('\n').filter((text) => text.startsWith('conquer: cannot read'))).toHaveLength(2);
    expect((await search(at('i.index'), [at('empty.jpg')])).unanswered).toBe(1);
  });

  it('finds images and run where they are now, or says that they are not there', async () => {
    mkdirSync(at('bundle'));
    renameSync(run, at('bundle', 'run'));
    renameSync(at('album'), at('bundle', 'album'));
    run = at('bundle', 'run');
    const file = at('bundle', 'i.index');
    await index(at('bundle', 'album'), { file });

    // All together.
    renameSync(at('bundle'), at('moved'));
    const moved = at('moved', 'i.index');
    expect(paths((await search(moved, query())).answers[0])[0]).toBe(at('moved', 'album', 'b', '0.svg'));

    // The images alone.
    renameSync(at('moved', 'album'), at('photos'));
    const lost = await search(moved, query());
    expect(paths(lost.answers[0])[0]).toBe(`missing ${at('bundle', 'album', 'b', '0.svg')}`);
    expect(lost.warnings).toMatch(/2 of the images .* are no longer in .*bundle\/album: .* --folder/);
    expect((await search(moved, query(), { json: false })).text).toMatch(/0\.svg {2}\(no longer there\)\n/);
    const told = await search(moved, query(), { folder: at('photos') });
    expect([paths(told.answers[0])[0], told.warnings]).toEqual([at('photos', 'b', '0.svg'), '']);
    await expect(search(moved, query(), { folder: at('runs') })).rejects.toThrow(
      /runs holds none of the images of .*i\.index: expected the folder/,
    );

    // The run alone.
    renameSync(at('moved', 'run'), at('renamed'));
    await expect(search(moved, query())).rejects.toThrow(
      /i\.index was made with the run .*bundle\/run, which is no longer there: say where it is now with --run$/,
    );
    const options = { folder: at('photos'), run: at('renamed') };
    expect((await search(moved, query(), options)).unanswered).toBe(0);
  });

  it('finds the run that an index lies in, whatever it is called now', async () => {
    const { index: file } = await index(at('album'));
    expect(file).toBe(join(run, 'album.index'));
    renameSync(run, at('runs', 'renamed'));
    run = at('runs', 'renamed');
    expect((await search(join(run, 'album.index'), query())).unanswered).toBe(0);
    expect(await index(at('album'))).toMatchObject({ embedded: 0 });
  });

  it('refuses embeddings of another model, and of images seen otherwise', async () => {
    const file = at('i.index');
    await index(at('album'), { file });
    using found = ImageIndex.open(file);
    expect(found.origin).toMatchObject({
      folder: at('album'),
      checkpoint: 'best',
      preprocessing: { size: 24, resize: 28, reduction: null },
    });
    using stranger = await openModel(drawnRun(at('runs', 'b'), drawnExperiment(), 2));
    using queries = await stranger.embedTensor(query());
    expect(() => found.search(queries, 1, { embedder: stranger })).toThrow(UserError);
    const other = { size: 24, resize: 32, reduction: null };
    found.moved({ ...found.origin!, preprocessing: other });
    found.save(file);
    await expect(search(file, query())).rejects.toThrow(
      /images as .* does not see them .* index the folder again/,
    );
    expect(await index(at('album'), { file })).toMatchObject({ images: 8, embedded: 8 });
  });

  it('opens an index of an earlier version, where that saw what is seen now', async () => {
    const file = at('old.index');
    const earlier = `${file}.safetensors`;
    using model = await openModel(run);
    using whole = (await indexFolder(model, at('album'))).index;
    for (const format of ['conquer-index-1', 'conquer-index-2']) {
      saveEarlier(earlier, whole, format, {});
      using opened = ImageIndex.open(earlier);
      expect([...opened.items()]).toEqual([...whole.items()].map((item) => ({ ...item, labels: [] })));
      expect((await search(earlier, query())).unanswered).toBe(0);
      // It is not written over, and nothing of it is embedded again.
      await expect(index(at('album'), { file: earlier })).rejects.toThrow(/expected a folder, it is a file/);
      expect(await index(at('album'), { file })).toMatchObject({ embedded: 0 });
      using now = ImageIndex.open(file);
      expect([...now.items()]).toEqual([...whole.items()]);
      expect(now.origin).toEqual(whole.origin);
      rmSync(file, { recursive: true });
    }

    // With a cache the earliest version's indexes were not what evaluation saw.
    const cached = at('runs', 'cached');
    drawnRun(cached, drawnExperiment({ data: { cache: true, augmentation: { name: 'geom' } } }));
    using other = await openModel(cached);
    saveEarlier(at('older.index.safetensors'), whole, 'conquer-index-1', { run: cached, sha256: other.id });
    await expect(search(at('older.index.safetensors'), query())).rejects.toThrow(/index the folder again$/);
    const again = await index(at('album'), { file: at('older.index'), run: cached });
    expect(again).toMatchObject({ embedded: 8 });
  });

  it('gives labels by class folders, and what was given to an item by a program, when it is indexed again', async () => {
    const file = at('i.index');
    await index(at('album'), { file });
    {
      using found = ImageIndex.open(file);
      expect(found.item('b/2.svg')).toMatchObject({
        labels: ['b'],
        payload: null,
        images: [{ path: join('b', '2.svg') }],
      });
      using row = found.rows('b/2.svg')!;
      found.add(row, [{ id: 'upload 7', labels: 'b', payload: { by: 'someone', at: [1, 2] } }]);
      found.save(file);
    }
    draw(at('album', 'a', '0.svg'), 77);
    utimesSync(at('album', 'a', '0.svg'), 1e9, 1e9);
    expect(await index(at('album'), { file })).toMatchObject({ images: 9, embedded: 1, removed: 0 });
    const { answers } = await search(file, [at('album', 'b', '2.svg')], { top: '2' });
    expect(answers[0]?.matches).toEqual([
      {
        id: 'b/2.svg',
        path: at('album', 'b', '2.svg'),
        labels: ['b'],
        payload: null,
        image: 0,
        similarity: expect.closeTo(1, 6),
      },
      {
        id: 'upload 7',
        path: null,
        labels: ['b'],
        payload: { by: 'someone', at: [1, 2] },
        image: 0,
        similarity: expect.closeTo(1, 6),
      },
    ]);
    const { text } = await search(file, [at('album', 'b', '2.svg')], { json: false });
    expect(text).toMatch(/2 {2}1\.000 {2}upload 7\n$/);

    // A picture beside the folders: they are no classes.
    draw(at('album', 'loose.svg'), 10);
    rmSync(file, { recursive: true });
    await index(at('album'), { file });
    using loose = ImageIndex.open(file);
    expect([...loose.items()].flatMap(({ labels }) => labels)).toEqual([]);
  });

  it('works with a checkpoint by itself', async () => {
    mkdirSync(at('kept'));
    const file = at('kept', 'weights.safetensors');
    cpSync(RunFolder.open(run).bestCheckpoint, file);
    const byFile = await index(at('album'), { run: file });
    expect(byFile).toMatchObject({ index: at('kept', 'album.index'), images: 8, embedded: 8 });
    const found = await search(byFile.index, query());
    expect(paths(found.answers[0])[0]).toBe(at('album', 'b', '0.svg'));
    expect((await search(byFile.index, query(), { run })).answers).toEqual(found.answers);
    rmSync(file);
    await expect(search(byFile.index, query())).rejects.toThrow(
      /weights\.safetensors, which is no longer there/,
    );
    const byRun = await index(at('album'));
    cpSync(RunFolder.open(run).bestCheckpoint, file);
    expect((await search(byRun.index, query(), { run: file })).answers).toEqual(found.answers);
  });

  it('of a run with parts of a plugin is told of them', async () => {
    const plugin = at('plugin.mjs');
    const zod = fileURLToPath(import.meta.resolve('zod'));
    writeFileSync(
      plugin,
      `import { z } from ${JSON.stringify(zod)};
       export const losses = [{ name: 'mine', help: 'mine', usesTuples: false, learns: false,
         options: z.strictObject({}), build: () => null }];`,
    );
    const other = drawnRun(at('runs', 'mine'), { ...drawnExperiment(), loss: { name: 'mine' } });
    await expect(index(at('album'), { run: other })).rejects.toThrow(
      /^--loss: expected one of .*, got "mine"; one of your own comes with --plugin FILE$/,
    );
    const { index: file } = await index(at('album'), { run: other, plugin });
    expect((await search(file, query(), { plugin })).unanswered).toBe(0);
  });

  it('takes rows of a program for what they are', async () => {
    using rows = tensor(Float32Array.of(1, 0, 0, 1), { shape: [2, 2] });
    using own = ImageIndex.of(rows, [{ id: 'x' }, { id: 'y' }]);
    own.save(at('own.index'));
    await expect(search(at('own.index'), query())).rejects.toThrow(/own\.index is of rows that no run made/);
    const refused = index(at('album'), { file: at('own.index') });
    await expect(refused).rejects.toThrow(
      /own\.index is an index of rows that no embedder made: name another one/,
    );
    const { index: file } = await index(at('album'));
    expect(() => own.save(file)).toThrow(/is an index by the run .*: it is not written over/);
  });

  it('says what is wrong with a file that is damaged or no index', async () => {
    const file = at('i.index');
    await index(at('album'), { file });
    const manifest = JSON.parse(readFileSync(join(file, 'manifest.json'), 'utf8')) as {
      segments: { name: string }[];
    };
    const name = manifest.segments[0]!.name;
    appendFileSync(join(file, `${name}.rows`), 'x');
    const damaged = /i\.index is damaged: .*delete it and make it again with npx conquer index/;
    await expect(search(file, query())).rejects.toThrow(damaged);
    await expect(index(at('album'), { file })).rejects.toThrow(damaged);
    writeFileSync(join(file, 'manifest.json'), '{');
    await expect(search(file, query())).rejects.toThrow(/manifest\.json is no JSON/);
    await expect(search(at('album'), query())).rejects.toThrow(/there is no manifest\.json in it/);
  });
});
