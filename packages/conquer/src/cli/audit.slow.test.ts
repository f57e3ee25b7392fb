import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { accessibilityProblems, openPage, startBrowser } from '@conquer-dml/testing/browser';
import { program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';

let folder: string;

const conquer = (...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8', timeout: 240_000 });

/** Six patterns of shapes, each in its colours, drawn at many sizes and places. */
async function writePhotos(path: string): Promise<void> {
  const shapes = [
    '<circle r="5"/>',
    '<rect width="3" height="12"/>',
    '<path d="M0 0 8 0 4 8z"/>',
    '<text font-size="12">a</text>',
    '<path d="M0 0 9 9M9 0 0 9" stroke-width="2" stroke="#fff"/>',
    '<rect width="12" height="2"/>',
  ];
  for (const [label, shape] of shapes.entries()) {
    mkdirSync(join(path, `class-${label}`), { recursive: true });
    for (let i = 0; i < 10; i++) {
      const at = `translate(${3 * i},${40 - 4 * i}) rotate(${7 * i})`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="160" height="160"><defs><pattern id="p" width="${16 + i}" height="16" patternUnits="userSpaceOnUse" patternTransform="${at}"><g fill="hsl(${label * 60 + 150},90%,${30 + 2 * i}%)">${shape}</g></pattern></defs><rect width="160" height="160" fill="hsl(${label * 60},70%,65%)"/><rect width="160" height="160" fill="url(#p)"/></svg>`;
      await sharp(Buffer.from(svg))
        .jpeg()
        .toFile(join(path, `class-${label}`, `${i}.jpg`));
    }
  }
}

interface Line {
  kind: string;
  path: string;
  likely: string;
}

const findingsIn = (out: string): Line[] =>
  readFileSync(join(folder, out, 'findings.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','))
    .map(([, kind = '', , path = '', , likely = '']) => ({ kind, path, likely }));

beforeAll(async () => {
  folder = temporaryFolder();
  await writePhotos(join(folder, 'photos'));
  copyFileSync(join(folder, 'photos/class-0/3.jpg'), join(folder, 'photos/class-0/again.jpg'));
  copyFileSync(join(folder, 'photos/class-1/4.jpg'), join(folder, 'photos/class-2/too.jpg'));
  renameSync(join(folder, 'photos/class-3/5.jpg'), join(folder, 'photos/class-4/wrong.jpg'));
  writeFileSync(join(folder, 'photos/class-5/broken.jpg'), 'no image');
}, 60_000);

describe('conquer audit', () => {
  it('finds what was planted, and writes lists that fit and train take, and a page to mark images on', async () => {
    const { status, stdout, stderr } = conquer('audit', 'photos', '--min-similarity', '1');
    expect(stderr).toMatch(/broken\.jpg/);
    expect(stderr).not.toMatch(/Warning:/);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^62 images of 6 classes\n/);
    const found = findingsIn('audit-photos');
    const of = (kind: string) => found.filter((line) => line.kind === kind).map(({ path }) => path);
    expect(of('exact-duplicate').sort()).toEqual(['class-0/3.jpg', 'class-0/again.jpg']);
    expect(of('two-labels').sort()).toEqual(['class-1/4.jpg', 'class-2/too.jpg']);
    expect(found).toContainEqual({ kind: 'wrong-label', path: 'class-4/wrong.jpg', likely: 'class-3' });
    expect(readFileSync(join(folder, 'audit-photos/exclude.csv'), 'utf8')).toBe('path\nclass-0/again.jpg\n');

    const browser = await startBrowser();
    try {
      const file = join(folder, 'audit-photos/audit.html');
      const { page, problems } = await openPage(browser, pathToFileURL(file).href);
      expect(await page.textContent('#count')).toBe('1 image marked');
      await page.check('input[data-path="class-4/wrong.jpg"]');
      // What is marked outlives a reload, once the browser has stored it, which it does behind the page's back.
      await expect
        .poll(
          async () => {
            await page.reload();
            return page.textContent('#count');
          },
          { timeout: 10_000 },
        )
        .toBe('2 images marked');
      const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
      copyFileSync(await download.path(), join(folder, 'exclude.csv'));
      expect(problems).toEqual([]);
      expect(await accessibilityProblems(page)).toEqual([]);
    } finally {
      await browser.close();
    }
    expect(readFileSync(join(folder, 'exclude.csv'), 'utf8').split('\n').sort()).toEqual(
      ['', 'class-0/again.jpg', 'class-4/wrong.jpg', 'path'].sort(),
    );
    writeFileSync(join(folder, 'exclude.csv'), 'class-5/broken.jpg\n', { flag: 'a' });
    const fitted = conquer(
      ...['fit', 'photos', '--exclude', 'exclude.csv', '--heads', 'linear', '--views', '1', '--steps', '100'],
      ...['--splits', '2', '--choose', 'linear', '--embedding-dim', '16', '--batch-size', '16', '--json'],
    );
    expect(fitted.stderr).toMatch(/exclude\.csv: 3 images left out/);
    expect(JSON.parse(fitted.stdout)).toMatchObject({ taken: 'linear' });
    // Its run leaves them out too, wherever it is read from.
    const again = conquer(
      'audit',
      'runs/fit-photos',
      '--out',
      'of-run',
      '--min-similarity',
      '0.9999',
      '--json',
    );
    expect(JSON.parse(again.stdout)).toMatchObject({
      images: 60,
      findings: { 'exact-duplicate': 0 },
    });
  }, 300_000);

  it('finds images in two parts of the data', async () => {
    for (const part of ['train', 'test']) await writePhotos(join(folder, 'divided', part));
    const { status } = conquer('audit', 'divided', '--out', 'leaks', '--min-similarity', '1');
    expect(status).toBe(0);
    const leaks = findingsIn('leaks').filter(({ kind }) => kind === 'leak');
    expect(leaks).toHaveLength(120);
    expect(readFileSync(join(folder, 'leaks/exclude.csv'), 'utf8').match(/^train\//gm)).toHaveLength(60);
  }, 120_000);

  it('says in a line what it cannot work with', () => {
    for (const [args, message] of [
      [['audit', 'nowhere'], /nowhere: expected images, shards, a CSV file or a run, it is not there/],
      [
        ['audit', 'photos', '--min-similarity', '2'],
        /--min-similarity: expected a number from -1 to 1, got '2'/,
      ],
      [['fit', 'photos', '--name', 'other', '--exclude', 'nothing.csv'], /nothing\.csv/],
    ] as const) {
      const { status, stderr } = conquer(...args);
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(status).toBe(2);
    }
    expect(existsSync(join(folder, 'audit-nowhere'))).toBe(false);
  }, 60_000);
});
