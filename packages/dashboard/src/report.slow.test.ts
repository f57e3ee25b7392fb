import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { REPORT_ELEMENT, type ReportData, type RunReport } from './api.js';
import { unpackMap } from './map-points.js';
import { writeReport } from './report.js';
import { HOSTILE, type RunFiles, writeRunFiles } from './testing/run-files.js';

let folder: string;
let run: RunFiles;
let pageDir: string;

beforeAll(async () => {
  folder = temporaryFolder();
  run = await writeRunFiles(join(folder, 'runs', 'mine'), {
    dataDir: join(folder, 'data'),
    experiment: { note: HOSTILE },
  });
  // As Vite writes it; the real page is tested in a browser.
  pageDir = join(folder, 'page');
  mkdirSync(join(pageDir, 'assets'), { recursive: true });
  writeFileSync(
    join(pageDir, 'index.html'),
    '<!doctype html><html><head><meta charset="utf-8" />' +
      '<script type="module" crossorigin src="./assets/a.js"></script>' +
      '<link rel="stylesheet" crossorigin href="./assets/a.css"></head><body></body></html>',
  );
  writeFileSync(join(pageDir, 'assets/a.js'), 'const s = "</script><!-- $& $1";');
  writeFileSync(join(pageDir, 'assets/a.css'), 'p { color: red }');
});

/** The elements as a browser would cut them: a script ends at the first end tag. */
function scriptsOf(html: string): { attributes: string; text: string }[] {
  return Array.from(
    html.matchAll(/<script([^>]*)>([\s\S]*?)<\/script/g),
    ([, attributes = '', text = '']) => ({
      attributes,
      text,
    }),
  );
}

const reportOf = (html: string): ReportData =>
  JSON.parse(scriptsOf(html).find(({ attributes }) => attributes.includes(REPORT_ELEMENT))?.text ?? '');
/** Of the only run. */
const dataOf = (html: string) => {
  const { runs, images } = reportOf(html);
  expect(runs).toHaveLength(1);
  return { ...(runs[0] as RunReport), images };
};

describe('writeReport', () => {
  it('writes one file with the page, the data and the pictures inside', async () => {
    const { file, bytes } = await writeReport({ runs: [run.path], pageDir });
    expect(file).toBe(join(run.path, 'report.html'));
    const html = readFileSync(file, 'utf8');
    expect(Buffer.byteLength(html)).toBe(bytes);
    expect(html).not.toMatch(/ src="|href="/);
    expect(html).toContain('<style>p { color: red }</style>');
    const scripts = scriptsOf(html);
    // Neither the script's strings nor the class names end a script or begin one.
    expect(scripts).toHaveLength(2);
    expect(scripts[0]?.text).toBe('const s = "<\\/script><\\!-- $& $1";');
    const data = dataOf(html);
    expect(data.run.settings.note).toBe(HOSTILE);
    expect(data.embedding?.classNames[1]).toBe(HOSTILE);
    expect(data.run.records).toHaveLength(5);
    expect(data.masks.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
    expect(data.maps.map(({ learner }) => learner)).toEqual(['full', 0, 1]);
    for (const { learner, packed } of data.maps) {
      const map = unpackMap(Uint8Array.from(Buffer.from(packed, 'base64')).buffer);
      expect([map.learner, map.x.length, map.correct.length]).toEqual([learner, 24, 24]);
    }
    expect(data.classes?.classes).toHaveLength(4);
    expect(data.retrieval.items).toHaveLength(24);
    expect(data.retrieval.worst.slice(0, 2).sort((a, b) => a - b)).toEqual([0, 12]);
    expect(new Set(data.retrieval.random)).toEqual(new Set(data.retrieval.worst));
    const src = data.retrieval.items[0]?.query.src as string;
    expect(src).toBe('0/query/0');
    const picture = Buffer.from((data.images[src] as string).split(',')[1] as string, 'base64');
    expect((await sharp(picture).metadata()).format).toBe('webp');
  });

  it('allows its own script only', async () => {
    const out = join(folder, 'other.html');
    await writeReport({ runs: [run.path], out, pageDir });
    const html = readFileSync(out, 'utf8');
    const policy = html.match(/Content-Security-Policy" content="([^"]+)"/)?.[1];
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[\w+/=]+'; /);
    const source = scriptsOf(html)[0]?.text ?? '';
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(source));
    expect(policy).toContain(`'sha256-${Buffer.from(digest).toString('base64')}'`);
  });

  it('reports a run without embeddings, as older ones are', async () => {
    const old = join(folder, 'runs', 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'config.json'), '{"format": 3, "train": {"epochs": 2}}');
    const { file } = await writeReport({ runs: [old], pageDir });
    const data = dataOf(readFileSync(file, 'utf8'));
    expect(data).toMatchObject({ embedding: null, maps: [], images: {}, masks: [] });
    writeFileSync(join(old, 'embeddings.safetensors'), 'broken');
    const again = dataOf(readFileSync((await writeReport({ runs: [old], pageDir })).file, 'utf8'));
    expect(again.run.problems).toEqual([expect.stringMatching(/^embeddings.safetensors cannot be read/)]);
  });

  it('holds several runs, of folders of runs too, under names of their own', async () => {
    const cmp = join(folder, 'cmp');
    for (const [name, lr] of Object.entries({ a: 1, 'deep/b': 2 }))
      await writeRunFiles(join(cmp, name), {
        dataDir: join(folder, 'data'),
        experiment: { optimize: { learningRate: lr } },
      });
    const { file } = await writeReport({ runs: [cmp], pageDir });
    expect(file).toBe(join(cmp, 'report.html'));
    const { runs, differing, images } = reportOf(readFileSync(file, 'utf8'));
    expect(runs.map(({ run }) => run.id).sort()).toEqual(['a', 'deep/b']);
    expect(differing).toEqual(['optimize.learningRate']);
    for (const { retrieval, maps } of runs) {
      expect(maps[0]?.learner).toBe('full');
      for (const { query, neighbours } of retrieval.items)
        for (const { src } of [query, ...neighbours.map(({ image }) => image)])
          expect(images).toHaveProperty([src as string]);
    }
    // The same run once, others of the same name under two.
    const out = join(folder, 'several.html');
    await writeReport({ runs: [join(cmp, 'a'), cmp, join(cmp, 'deep', 'b')], out, pageDir });
    const { runs: all } = reportOf(readFileSync(out, 'utf8'));
    expect(all.map(({ run }) => run.id).sort()).toEqual(['a', 'deep/b']);
    const other = join(folder, 'other', 'a');
    await writeRunFiles(other, { dataDir: join(folder, 'data') });
    await writeReport({ runs: [join(cmp, 'a'), other], out, pageDir });
    const { runs: named } = reportOf(readFileSync(out, 'utf8'));
    expect(named.map(({ run }) => run.id)).toEqual(['a', 'a (2)']);
    const third = join(folder, 'third', 'a (2)');
    await writeRunFiles(third, { dataDir: join(folder, 'data') });
    await writeReport({ runs: [join(cmp, 'a'), other, third], out, pageDir });
    expect(reportOf(readFileSync(out, 'utf8')).runs.map(({ run }) => run.id)).toEqual([
      'a',
      'a (2)',
      'a (2) (2)',
    ]);
    // Both with the pictures.
    expect(named.map(({ retrieval }) => retrieval.items[0]?.query.src)).toEqual(['0/query/0', '1/query/0']);
  });

  it('names no folder of this machine', async () => {
    const secret = join(folder, 'home', 'alice');
    const { path } = await writeRunFiles(join(secret, 'runs', 'private'), {
      dataDir: join(secret, 'photos of dogs'),
      experiment: {
        model: { weights: join(secret, 'weights.pth') },
        split: '../alice/split.txt',
        note: `like ${secret}/runs/first, see https://example.org/a/b`,
        other: 'C:\\Users\\alice\\photos',
      },
    });
    const { file } = await writeReport({ runs: [path], pageDir });
    const html = readFileSync(file, 'utf8');
    expect(html).not.toContain('alice');
    expect(html).not.toContain(folder);
    const { run, images } = dataOf(html);
    expect(run.settings).toMatchObject({
      'data.dataset.folder': '…/photos of dogs',
      'model.weights': '…/weights.pth',
      split: '…/split.txt',
      note: 'like …/first, see https://example.org/a/b',
      other: '…/photos',
    });
    // And still shows the pictures.
    expect(Object.keys(images)).toHaveLength(24);
  });

  it('says in one line what is wrong', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    await expect(writeReport({ runs: [empty], pageDir })).rejects.toThrow(/there is no run in/);
    await expect(writeReport({ runs: [run.path, empty], pageDir })).rejects.toThrow(
      /needs a file .*give its name/,
    );
    await expect(writeReport({ runs: [join(folder, 'none')], pageDir })).rejects.toThrow(
      /expected a run or a folder of runs/,
    );
    const out = join(folder, 'none', 'report.html');
    const onProgress = () => expect.unreachable('nothing is computed for a file that cannot be written');
    await expect(writeReport({ runs: [run.path], out, pageDir, onProgress })).rejects.toThrow(
      /cannot be written/,
    );
    await expect(writeReport({ runs: [run.path], out: folder, pageDir, onProgress })).rejects.toThrow(
      /it is a folder/,
    );
    await expect(writeReport({ runs: [run.path], pageDir: join(folder, 'none') })).rejects.toThrow(
      /is not built/,
    );
  });
});
