import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DivisionView, EpochRecord, StepRecord } from '@conquer-dml/run';
import {
  accessibilityProblems,
  type OpenOptions,
  openPage,
  startBrowser,
} from '@conquer-dml/testing/browser';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MapPoints, RunsAnswer } from '../src/api.js';
import { unpackMap } from '../src/map-points.js';
import { conquer, type DomNode, lines, pixelsOfColour, startDashboard, tensor } from './browser.js';

const VIEWS = ['runs', 'curves', 'division', 'map', 'retrieval'] as const;
/** As long as some make it who write all settings into it. */
const LONG = `long-${'name-of-a-run-'.repeat(8)}end`;
const small = ['--class-ratio', '0.1', '--passes-per-epoch', '1', '--mod-epoch', '1', '--threads', '1'];

let folder: string;
let runs: string;
let browser: Browser;
let dashboard: { url: string; process: ChildProcess };

beforeAll(async () => {
  folder = temporaryFolder();
  runs = join(folder, 'runs');
  const train = ['train', '--recipe', 'demo', ...small, '--runs-dir', runs];
  await conquer(...train, '--epochs', '3', '--name', 'first');
  await conquer('map', join(runs, 'first'), '--learners');
  await conquer(...train, '--epochs', '2', '--name', LONG, '--num-learners', '2', '--val-fraction', '0.2');
  // What a version wrote that logged neither masks nor embeddings.
  mkdirSync(join(runs, 'old'));
  for (const name of ['config.json', 'metrics.jsonl'])
    cpSync(join(runs, 'first', name), join(runs, 'old', name));
  mkdirSync(join(runs, 'broken'));
  writeFileSync(join(runs, 'broken', 'config.json'), '{');
  dashboard = await startDashboard(runs);
  browser = await startBrowser();
}, 600_000);

afterAll(async () => {
  await browser?.close();
  dashboard?.process.kill('SIGINT');
});

const file = (name: string, run = 'first') => join(runs, run, name);
const epochs = () => lines<EpochRecord>(file('metrics.jsonl'));
const divisions = () => lines<DivisionView & { clusters: number[] }>(file('divisions.jsonl'));
const percent = (value: number | undefined) => `${(100 * (value ?? Number.NaN)).toFixed(1)}\u00a0%`;
const trained = () => epochs().filter(({ epoch }) => epoch >= 0);
const best = () =>
  trained().reduce((a, b) => ((b.metrics?.['R@1'] ?? 0) > (a.metrics?.['R@1'] ?? 0) ? b : a));
const address = (view: string, ...names: string[]) =>
  `${dashboard.url}#/${view}?${new URLSearchParams(names.map((name): [string, string] => ['run', name]))}`;

/** Opens a view, does something there, and holds that nothing went wrong but what was expected to. */
async function visit(
  view: string,
  names: string[],
  then: (page: Page) => Promise<void>,
  { expected, ...options }: OpenOptions & { expected?: RegExp } = {},
) {
  const { page, problems } = await openPage(browser, address(view, ...names), options);
  try {
    await settled(page);
    await then(page);
    expect(problems.filter((problem) => !expected?.test(problem))).toEqual([]);
  } finally {
    await page.context().close();
  }
}

/** Nothing is being read or computed any more. */
async function settled(page: Page) {
  await page.locator('main h2').waitFor();
  await expect
    .poll(() => page.getByText(/(Reading the|Searching|connecting) .*…/).count(), {
      timeout: 120_000,
      interval: 200,
    })
    .toBe(0);
}

/** How often each value comes. */
function tally(values: Iterable<number>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** The run's embeddings file: neighbours and labels, and what follows from them. */
function retrievals() {
  const labels = tensor(file('embeddings.safetensors'), 'labels').values;
  const { shape, values } = tensor(file('embeddings.safetensors'), 'neighbours');
  const depth = shape[1] as number;
  const { classNames, paths } = (
    JSON.parse(readFileSync(file('test-images.json'), 'utf8')) as {
      queries: { classNames: string[]; paths: string[] };
    }
  ).queries;
  const neighbours = (query: number) => [...values.subarray(query * depth, (query + 1) * depth)];
  const right = (query: number) => labels[neighbours(query)[0] as number] === labels[query];
  return { labels, classNames, paths, neighbours, right };
}

describe('Runs', () => {
  it('shows each run with its status, its best epoch and where that was chosen', () =>
    visit('runs', [], async (page) => {
      const row = page.getByRole('row', { name: /Pick first/ });
      const words = await row.innerText();
      expect(words).toContain('finished');
      expect(words).toContain('3 / 3');
      expect(words).toContain(percent(best().metrics?.['R@1']));
      expect(words).toContain(percent(best().metrics?.['MAP@R']));
      expect(words).toContain(`epoch ${best().epoch + 1}`);
      const other = await page.getByRole('row', { name: new RegExp(`Pick ${LONG}`) }).innerText();
      expect([words, other].map((text) => text.includes('†'))).toEqual([false, true]);
      // Said once, not in each row.
      const said = page.getByText(
        /where it bears no †, is the highest of all epochs on the very test classes/,
      );
      expect(await said.count()).toBe(1);
      expect(await page.getByRole('row', { name: /Pick old/ }).innerText()).toContain('finished');
      expect(await page.getByRole('row', { name: /Pick broken/ }).innerText()).toContain(
        'config.json cannot be read',
      );
    }));

  it('has a column for each setting that differs, and compares settings of the picked runs', () =>
    visit('runs', ['first', LONG], async (page) => {
      const header = page.locator('thead').first();
      for (const name of ['divide.numLearners', 'data.validationFraction']) {
        expect(await header.getByRole('button', { name, exact: true }).count()).toBe(1);
      }
      expect(await header.getByRole('button', { name: 'data.batchSize' }).count()).toBe(0);
      await page.getByText('All settings of the 2 picked runs').click();
      const settings = page.getByRole('group', { name: 'Settings' });
      expect(await settings.getByRole('row', { name: 'divide.numLearners 4 2' }).count()).toBe(1);
      expect(await settings.getByRole('row', { name: /^data\.batchSize/ }).count()).toBe(1);
      await page.getByLabel(/only those that differ/).check();
      expect(await settings.getByRole('row', { name: /^data\.batchSize/ }).count()).toBe(0);
    }));

  it('shows first what the numbers are of, and the numbers before all else', () =>
    visit('runs', [], async (page) => {
      const names = await page.locator('thead').first().getByRole('button').allInnerTexts();
      expect(names.slice(0, 6).map((name) => name.replace(/ [↓↑]$/, ''))).toEqual([
        'Run',
        'Best R@1',
        'Status',
        'Epochs',
        'MAP@R',
        'NMI',
      ]);
      expect(names[6]).toBe('divide.numLearners');
    }));

  it('shows the best R@1 and all tabs on a phone, without scrolling', () =>
    visit(
      'runs',
      [],
      async (page) => {
        const inside = async (locator: Locator, least = 0) => {
          const { x, width } = (await locator.boundingBox()) as { x: number; width: number };
          expect(x).toBeGreaterThanOrEqual(least);
          expect(x + width).toBeLessThanOrEqual(400);
        };
        await inside(page.getByRole('row', { name: /Pick first/ }).locator('.best strong'));
        for (const name of ['Runs', 'Curves', 'Division', 'Embedding map', 'Retrieval'])
          await inside(page.getByRole('link', { name, exact: true }));
      },
      { width: 400 },
    ));

  it('sorts by what a header names', () =>
    visit('runs', [], async (page) => {
      const names = () => page.locator('tbody th[scope=row] a').allInnerTexts();
      const run = page.getByRole('columnheader', { name: 'Run', exact: true });
      await run.getByRole('button').click();
      expect(await run.getAttribute('aria-sort')).toBe('ascending');
      expect(await names()).toEqual(['broken', 'first', LONG, 'old']);
      await run.getByRole('button').click();
      expect(await names()).toEqual(['old', LONG, 'first', 'broken']);
    }));

  it('picks several by keyboard and goes on to their curves', () =>
    visit('runs', [], async (page) => {
      for (const name of ['first', LONG]) {
        await page.getByRole('checkbox', { name: `Pick ${name}` }).focus();
        await page.keyboard.press('Space');
      }
      await expect.poll(() => new URL(page.url()).hash).toContain('run=first&run=long-');
      await page.getByRole('link', { name: 'Compare their curves' }).press('Enter');
      await page.getByRole('heading', { name: 'Curves', exact: true }).waitFor();
      expect(await page.getByRole('list', { name: 'Chosen runs' }).getByRole('listitem').count()).toBe(2);
      await page.getByRole('button', { name: `Take ${LONG} out of the choice` }).click();
      await expect.poll(() => new URL(page.url()).hash).toBe('#/curves?run=first');
    }));
});

describe('Curves', () => {
  const values = (page: Page, chart: string) =>
    page.locator(`[data-chart="${chart}"] .legend li`).allInnerTexts();
  const flat = (texts: string[]) => texts.map((text) => text.replaceAll(/\s*\n\s*/g, ' ').trim());

  it('draws the numbers of the log at their place', () =>
    visit('curves', ['first'], async (page) => {
      const plot = page.locator('[data-chart="recall"] [role=img]');
      const place = page.locator('[data-chart="recall"] .place');
      await plot.focus();
      await page.keyboard.press('Home');
      for (const [i, record] of epochs().entries()) {
        if (i > 0) await page.keyboard.press('ArrowRight');
        await expect
          .poll(() => place.innerText())
          .toBe(i === 0 ? 'before training' : `after ${i} epoch${i > 1 ? 's' : ''}`);
        const names = Object.keys(record.metrics ?? {}).filter((name) => /^R@\d+$/.test(name));
        expect(flat(await values(page, 'recall'))).toEqual(
          names.map((name) => `${name} ${percent(record.metrics?.[name])}`),
        );
        expect(flat(await values(page, 'nmi'))).toEqual([`NMI ${percent(record.metrics?.NMI)}`]);
      }
      const last = lines<StepRecord>(file('steps.jsonl')).at(-1);
      expect(flat(await values(page, 'metric-loss'))).toEqual([
        `metric loss ${Number(last?.metricLoss?.toPrecision(4))}`,
      ]);
      expect(flat(await values(page, 'learning-rates')).map((text) => text.split(' ')[0])).toEqual(
        Object.keys(epochs().at(-1)?.learningRates ?? {}),
      );
      // The line of R@1 is there, in its colour.
      expect(await pixelsOfColour(page, '[data-chart="recall"] canvas', [0x3b, 0x7d, 0xdd])).toBeGreaterThan(
        100,
      );
    }));

  it('marks the divisions and says where they are', () =>
    visit('curves', ['first'], async (page) => {
      const said = await page.getByText(/Divided at the start of epoch/).innerText();
      const numbers = said.match(/\d+/g)?.map(Number);
      const expected = divisions().flatMap(({ epoch, numClusters }, i) =>
        numClusters === divisions()[i - 1]?.numClusters ? [epoch + 1] : [epoch + 1, numClusters],
      );
      expect(numbers).toEqual(expected);
    }));

  it('goes by steps, smooths, and chooses recalls', () =>
    visit('curves', ['first'], async (page) => {
      await page.getByRole('button', { name: 'Steps' }).click();
      const steps = epochs().reduce((sum, record) => sum + (record.steps ?? 0), 0);
      await expect
        .poll(() => page.locator('[data-chart="metric-loss"] .place').innerText())
        .toBe(`after ${steps} steps`);
      const before = flat(await values(page, 'metric-loss'));
      await page.getByRole('slider', { name: 'Smoothing' }).fill('0.8');
      await expect.poll(async () => flat(await values(page, 'metric-loss'))).not.toEqual(before);
      await page.getByRole('button', { name: 'R@1', exact: true }).click();
      await expect
        .poll(async () => flat(await values(page, 'recall')).some((text) => text.startsWith('R@1 ')))
        .toBe(false);
      expect(flat(await values(page, 'recall')).some((text) => text.startsWith('R@2 '))).toBe(true);
    }));

  it('lays runs over each other', () =>
    visit('curves', ['first', LONG], async (page) => {
      const metrics = lines<EpochRecord>(file('metrics.jsonl', LONG)).at(-1);
      const shown = flat(await values(page, 'map-at-r')).map((text) => text.replace(/ in turns with .*/, ''));
      expect(shown).toEqual([
        `first MAP@R ${percent(epochs().at(-1)?.metrics?.['MAP@R'])}`,
        `${LONG} MAP@R ${percent(metrics?.metrics?.['MAP@R'])}`,
        `${LONG} MAP@R, validation ${percent(metrics?.validation?.['MAP@R'])}`,
      ]);
      await page.getByText('The numbers of first, epoch by epoch').click();
      const table = page.getByRole('group', { name: 'Numbers of first' });
      await expect.poll(() => table.getByRole('row').count()).toBe(1 + epochs().length);
      expect(await table.getByRole('row').nth(1).innerText()).toContain(
        percent(epochs()[0]?.metrics?.['R@1']),
      );
    }));
});

describe('Division', () => {
  it('shows sizes, classes and moves of each division', () =>
    visit('division', ['first'], async (page) => {
      const slider = page.getByRole('slider', { name: /Division/ });
      for (const [i, division] of divisions().entries()) {
        await slider.fill(String(i));
        await page
          .getByRole('heading', { name: `Division at the start of epoch ${division.epoch + 1}` })
          .waitFor();
        const rows = page.getByRole('group', { name: 'Clusters' }).locator('tbody tr');
        const cells = await rows.evaluateAll((found: DomNode[]) =>
          found.map((row) => row.textContent.match(/[\d,]+/g)?.map((n) => Number(n.replace(',', '')))),
        );
        expect(cells).toEqual(division.sizes.map((size, k) => [k + 1, size, division.classCounts[k]]));
        if (i > 0)
          expect(await page.locator('main').innerText()).toContain(
            `${division.moved.toLocaleString('en')}\u00a0image`,
          );
      }
    }));

  it('draws the flow between consecutive divisions and the tree of learners', () =>
    visit('division', ['first'], async (page) => {
      const all = divisions();
      const name = (cluster: number) => (cluster < 0 ? 'no cluster' : `learner ${cluster + 1}`);
      const expected = all.slice(1).flatMap((division, i) => {
        const pairs = new Map<string, number>();
        for (const [image, to] of division.clusters.entries()) {
          const way = `from ${name(all[i]?.clusters[image] as number)} to ${name(to)}`;
          pairs.set(way, (pairs.get(way) ?? 0) + 1);
        }
        return [...pairs].map(
          ([way, n]) => `${n.toLocaleString('en')}\u00a0image${n === 1 ? '' : 's'} ${way}`,
        );
      });
      const flow = page.getByRole('group', { name: 'Flow between divisions' });
      expect((await flow.locator('path title').allTextContents()).sort()).toEqual(expected.sort());

      const tree = page.getByRole('group', { name: 'Tree of learners' });
      const levels = [...new Set(all.map(({ numClusters }) => numClusters))];
      expect(await tree.locator('rect').count()).toBe(levels.reduce((a, b) => a + b, 0));
      expect(await tree.getByRole('img').getAttribute('aria-label')).toBe(
        `Tree of learners: ${levels.join(', then ')}`,
      );
      const last = all.at(-1) as (typeof all)[number];
      const box = `learner ${last.numClusters}: ${last.sizes.at(-1)?.toLocaleString('en')}`;
      // From its beginning: a branch's title ends as a box's begins.
      expect(await tree.locator('title', { hasText: new RegExp(`^${box}\\b`) }).count()).toBe(1);
      await flow.getByRole('button', { name: 'Division at the start of epoch 1' }).press('Enter');
      await page.getByRole('heading', { name: 'Division at the start of epoch 1' }).waitFor();
    }));

  it('shows the masks of each epoch, their values and similarity', () =>
    visit('division', ['first'], async (page) => {
      const logged = lines<{ epoch: number; masks: number[][] }>(file('masks.jsonl'));
      const slider = page.getByRole('slider', { name: /^Epoch/ });
      const canvas = page.getByRole('img', { name: /Heat map of the masks/ });
      for (const [i, { epoch, masks }] of logged.entries()) {
        await slider.fill(String(i));
        await page.getByRole('heading', { name: `Masks after epoch ${epoch + 1}` }).waitFor();
        await expect.poll(() => page.locator('.use tbody tr').count()).toBe(masks.length);
        const [learner, dim] = [masks.length - 1, 100];
        const { width, height } = (await canvas.boundingBox()) as { width: number; height: number };
        const position = {
          x: ((dim + 0.5) / (masks[0]?.length ?? 1)) * width,
          y: ((learner + 0.5) / masks.length) * height,
        };
        await canvas.hover({ position });
        const value = masks[learner]?.[dim] as number;
        await expect
          .poll(() => page.locator('.reading').innerText())
          .toBe(`learner ${learner + 1}, dimension ${dim + 1}: ${Number(value.toPrecision(4))}`);
      }
      const masks = logged.at(-1)?.masks ?? [];
      const dot = (a: number[], b: number[]) =>
        a.reduce((sum, value, d) => sum + value * (b[d] as number), 0);
      const cosine = (a: number[], b: number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      const shown = await page
        .getByRole('group', { name: 'Similarity of the masks' })
        .locator('td.cell')
        .allInnerTexts();
      const expected = masks.flatMap((a) => masks.map((b) => cosine(a, b)));
      expect(shown).toHaveLength(expected.length);
      for (const [i, text] of shown.entries()) expect(Number(text)).toBeCloseTo(expected[i] as number, 2);
    }));
});

const mapOf = async (learner: string): Promise<MapPoints> =>
  unpackMap(await (await fetch(`${dashboard.url}api/runs/first/map?learner=${learner}`)).arrayBuffer());

describe('Embedding map', () => {
  const legend = (page: Page) => page.getByRole('group', { name: 'Legend' });

  it('shows every test image, and colours it by class, cluster and correctness', () =>
    visit('map', ['first'], async (page) => {
      const { labels, classNames, right } = retrievals();
      await page
        .getByRole('img', {
          name: `Map of ${labels.length.toLocaleString('en')}\u00a0test images, coloured by class`,
        })
        .waitFor();
      const counts = [...tally(labels)].sort(([a], [b]) => a - b);
      const items = async () =>
        (await legend(page).locator('li').allInnerTexts()).map((text) => text.replace(/\s*\n\s*/, ' '));
      expect(await items()).toEqual(counts.map(([label, n]) => `${classNames[label]} ${n}`));

      await page.getByRole('button', { name: 'cluster', exact: true }).click();
      const clusters = [...tally(tensor(file('embeddings.safetensors'), 'clusters').values)].sort(
        ([a], [b]) => a - b,
      );
      await expect.poll(items).toEqual(clusters.map(([cluster, n]) => `cluster ${cluster + 1} ${n}`));

      await page.getByRole('button', { name: 'error', exact: true }).click();
      const hits = [...labels.keys()].filter(right).length;
      await expect.poll(async () => (await items())[0]).toMatch(new RegExp(`^right: .* ${hits}$`));
      // And this is the R@1 that the run reported.
      expect(hits / labels.length).toBeCloseTo(best().metrics?.['R@1'] as number, 10);
      await legend(page)
        .getByRole('button', { name: /^wrong/ })
        .click();
      expect(
        await legend(page)
          .getByRole('button', { name: /^wrong/ })
          .getAttribute('aria-pressed'),
      ).toBe('true');
      await legend(page).getByRole('button', { name: 'Show all' }).click();
    }));

  it('shows the image of the point under the pointer, and the neighbours of one that is clicked', () =>
    visit('map', ['first'], async (page) => {
      const { labels, classNames, paths, neighbours } = retrievals();
      const map = await mapOf('full');
      const point = loneliest(map);
      const canvas = page.getByRole('img', { name: /^Map of/ });
      const { width, height } = (await canvas.boundingBox()) as { width: number; height: number };
      // One scale for both axes, with a margin.
      const position = {
        x: width / 2 + (0.95 * (map.x[point] as number) * height) / 2,
        y: (height * (1 - 0.95 * (map.y[point] as number))) / 2,
      };
      const tip = page.locator('.cloud .tip').last();
      await expect
        .poll(
          async () => {
            await canvas.hover({ position: { x: position.x + 3, y: position.y } });
            await canvas.hover({ position });
            return tip.innerText({ timeout: 2000 }).catch(() => '');
          },
          { timeout: 60_000 },
        )
        .toContain(classNames[labels[point] as number]);
      await expect
        .poll(() => tip.locator('img').evaluate((image: DomNode) => image.naturalWidth))
        .toBeGreaterThan(0);

      await canvas.click({ position });
      const panel = page.getByRole('group', { name: 'Neighbours' });
      const fileName = (image: number) => paths[image]?.split('/').at(-1) as string;
      await expect.poll(() => panel.locator('.file').innerText()).toBe(fileName(point));
      const expected = neighbours(point)
        .slice(0, 12)
        .map((image) => {
          const right = labels[image] === labels[point];
          return `${right ? 'Right' : 'Wrong'}: ${classNames[labels[image] as number]}, ${fileName(image)}`;
        });
      expect(
        await panel.locator('ol img').evaluateAll((images: DomNode[]) => images.map(({ alt }) => alt)),
      ).toEqual(expected);
      await panel.getByRole('button', { name: 'Close' }).click();
      expect(await panel.count()).toBe(0);
    }));

  it('stays with its run when another is written to', async () => {
    const written = (run: string, after: number) => {
      const time = new Date(Date.now() + 1000 * after);
      utimesSync(file('metrics.jsonl', run), time, time);
    };
    const newest = async () =>
      ((await (await fetch(new URL('api/runs', dashboard.url))).json()) as RunsAnswer).runs[0]?.id;
    written('first', 10);
    await expect.poll(newest, { timeout: 10_000 }).toBe('first');
    const act = async (page: Page) => {
      const title = await page.title();
      expect(title).toContain('first');
      await page.getByRole('img', { name: /^Map of/ }).focus();
      await page.keyboard.press('ArrowRight');
      const panel = page.getByRole('group', { name: 'Neighbours' });
      await panel.getByAltText(/^Query/).waitFor();
      written(LONG, 20);
      await expect.poll(newest, { timeout: 10_000 }).toBe(LONG);
      // The page is told at the same look.
      await page.waitForTimeout(1000);
      expect(await page.title()).toBe(title);
      expect(await panel.count()).toBe(1);
      // Nor does a learner without a map take the pick away.
      const embedding = page.getByRole('combobox', { name: /^Embedding/ });
      const ofLearner = file('map-learner-0.safetensors');
      renameSync(ofLearner, `${ofLearner}.away`);
      await embedding.selectOption('learner 1');
      await page.getByText('There is no map').waitFor();
      renameSync(`${ofLearner}.away`, ofLearner);
      await embedding.selectOption({ index: 0 });
      await panel.getByAltText(/^Query/).waitFor();
    };
    await visit('map', [], act, { expected: /404.*map\?learner=0/ });
  });

  it('is moved through by the arrow keys, and shows what a learner sees', () =>
    visit('map', ['first'], async (page) => {
      const canvas = page.getByRole('img', { name: /^Map of/ });
      await canvas.focus();
      await page.keyboard.press('ArrowRight');
      // By its address: the next image may have the same file name, in another folder.
      const query = page.getByRole('group', { name: 'Neighbours' }).getByAltText(/^Query/);
      const first = await query.getAttribute('src');
      expect(first).not.toBeNull();
      // The first point may be at the map's edge, with nothing further to its right.
      const { x } = await mapOf('full');
      const key = x.some((at) => at > (x[0] as number) + 1e-6) ? 'ArrowRight' : 'ArrowLeft';
      await page.keyboard.press(key);
      // The panel holds the last image until the next one's neighbours are there.
      await expect.poll(() => query.getAttribute('src'), { timeout: 60_000 }).not.toBe(first);
      const picked = await query.getAttribute('src');
      const learnersMap = page.waitForResponse((answer) => answer.url().includes('/map?learner=0'));
      await page.getByRole('combobox', { name: /^Embedding/ }).selectOption('learner 1');
      await (await learnersMap).finished();
      await settled(page);
      // The pick outlives the map that it was made on: two frames, in which the page takes the answer.
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      await page.getByRole('heading', { name: 'Nearest for learner 1' }).waitFor();
      expect(await query.getAttribute('src')).toBe(picked);
    }));
});

describe('Retrieval', () => {
  const articles = (page: Page) => page.locator('.items article');

  it('marks right and wrong neighbours, worst first', () =>
    visit('retrieval', ['first'], async (page) => {
      const { labels, classNames, paths, neighbours } = retrievals();
      const shown = await articles(page).evaluateAll((found: DomNode[]) =>
        found.map((article) => ({
          file: article.querySelector('.file').textContent,
          name: article.querySelector('.class').textContent,
          marks: [...article.querySelectorAll('ol .sign')].map((sign) => sign.textContent),
        })),
      );
      expect(shown).toHaveLength(12);
      let least = 0;
      const sizes = tally(labels);
      for (const { file: fileName, name, marks } of shown) {
        const query = paths.findIndex(
          (path, i) =>
            path.endsWith(`/${fileName}`) &&
            classNames[labels[i] as number] === name &&
            marksOf(i).join() === marks.join(),
        );
        expect(query, `${name} ${fileName}`).toBeGreaterThanOrEqual(0);
        const depth = Math.min((sizes.get(labels[query] as number) as number) - 1, 20);
        const hits = neighbours(query)
          .slice(0, depth)
          .filter((image) => labels[image] === labels[query]).length;
        if (depth > 0) expect(hits / depth).toBeGreaterThanOrEqual(least);
        if (depth > 0) least = hits / depth;
      }
      function marksOf(query: number): string[] {
        return neighbours(query)
          .slice(0, 10)
          .map((image) => (labels[image] === labels[query] ? '✓' : '✗'));
      }
      await page.getByRole('button', { name: 'Show more' }).first().click();
      await expect.poll(() => articles(page).count()).toBe(24);
    }));

  it('counts recall by class and confused classes, and filters by class', () =>
    visit('retrieval', ['first'], async (page) => {
      const { labels, classNames, neighbours, right } = retrievals();
      const sizes = tally(labels);
      const hits = tally([...labels.keys()].filter(right).map((query) => labels[query] as number));
      const table = page.getByRole('group', { name: 'Recall by class' });
      const rows = (await table
        .locator('tbody tr')
        .evaluateAll((found: DomNode[]) =>
          found.map((row) => [...row.children].slice(0, 3).map((cell) => cell.textContent)),
        )) as string[][];
      const expected = new Map(
        [...sizes].map(([label, n]) => [classNames[label], [String(n), percent((hits.get(label) ?? 0) / n)]]),
      );
      expect(rows.length).toBe(Math.min(100, sizes.size));
      for (const [name, ...cells] of rows) expect(cells, name).toEqual(expected.get(name));
      const recalls = rows.map(([, , recall]) => Number.parseFloat(recall as string));
      expect(recalls).toEqual([...recalls].sort((a, b) => a - b));

      const pairs = new Map<string, number>();
      for (const query of labels.keys()) {
        const [a, b] = [labels[query] as number, labels[neighbours(query)[0] as number] as number];
        const pair = [a, b]
          .sort((x, y) => x - y)
          .map((label) => classNames[label])
          .join(' and ');
        if (a !== b) pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
      const confusions = page.getByRole('group', { name: 'Confused classes' }).locator('li');
      const [pair, words] = (await confusions.first().locator('p').allInnerTexts()).map((text) =>
        text.replaceAll(/\s+/g, ' '),
      );
      expect(Math.max(...pairs.values())).toBe(pairs.get(pair as string));
      expect(words).toContain(`${pairs.get(pair as string)} quer`);

      const [name] = rows[0] as [string];
      await table.getByRole('button', { name, exact: true }).click();
      await expect
        .poll(() => articles(page).locator('.class').allInnerTexts())
        .toEqual(new Array(Number((rows[0] as string[])[1])).fill(name));
    }));

  it('draws at random, anew, and for a learner', () =>
    visit('retrieval', ['first'], async (page) => {
      const files = async () => (await articles(page).locator('.file').allInnerTexts()).join();
      const worst = await files();
      await page.getByRole('button', { name: 'random' }).click();
      await expect.poll(files).not.toBe(worst);
      const once = await files();
      await page.getByRole('button', { name: 'Draw anew' }).click();
      await expect.poll(files).not.toBe(once);
      await page.getByRole('combobox', { name: /^Embedding/ }).selectOption('learner 1');
      await page.getByRole('combobox', { name: /^Neighbours/ }).selectOption('5');
      await expect.poll(() => articles(page).first().locator('ol li').count()).toBe(5);
    }));
});

describe('every view', () => {
  for (const scheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      it(`has no accessibility problem that axe knows, and fits, ${scheme}, ${width} pixels wide`, async () => {
        for (const view of VIEWS) {
          const names = width > 600 ? ['first', LONG] : [LONG];
          await visit(
            view,
            names,
            async (page) => {
              if (view === 'map')
                await page
                  .getByRole('img', { name: /^Map of/ })
                  .last()
                  .waitFor();
              const closed = page.locator('details:not([open]) > summary');
              while ((await closed.count()) > 0) await closed.first().click();
              expect(await accessibilityProblems(page), view).toEqual([]);
              expect(await page.evaluate('document.documentElement.scrollWidth'), view).toBeLessThanOrEqual(
                width,
              );
            },
            { scheme, width },
          );
        }
      });
    }
  }

  it('says what an old or a broken run lacks', async () => {
    const empty = { division: 'No division yet', map: 'No embedding yet', retrieval: 'No embedding yet' };
    for (const [view, words] of Object.entries(empty)) {
      await visit(view, ['old'], async (page) => {
        await page.getByText(words, { exact: true }).waitFor();
        expect(await accessibilityProblems(page), view).toEqual([]);
      });
    }
    await visit('curves', ['old'], async (page) => {
      expect(await page.locator('[data-chart]').count()).toBeGreaterThan(3);
    });
    await visit('curves', ['broken'], (page) => page.getByText('No curves yet').waitFor());
  });

  it('says that a run of the address is not there, and shows no other for it', async () => {
    for (const view of VIEWS)
      await visit(view, ['gone'], async (page) => {
        await page.getByText('There is no run “gone” here').waitFor();
        expect(await accessibilityProblems(page), view).toEqual([]);
        if (view === 'runs') return;
        expect(await page.locator('[data-chart], section').count(), view).toBe(0);
        await page.getByRole('link', { name: 'See the runs that are here' }).click();
        await page.getByRole('row', { name: /Pick first/ }).waitFor();
      });
    await visit('curves', ['gone', 'first'], async (page) => {
      await page.getByText('There is no run “gone” here').waitFor();
      expect(await page.locator('[data-chart]').count()).toBeGreaterThan(3);
      await page.getByRole('button', { name: 'Go on without' }).click();
      await expect.poll(() => new URL(page.url()).hash).toBe('#/curves?run=first');
    });
  });

  it('turns light and dark by hand', () =>
    visit('curves', ['first'], async (page) => {
      const background = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
      const light = await background();
      await page.getByRole('button', { name: 'Colours: system' }).click();
      expect(await background()).toBe(light);
      await page.getByRole('button', { name: 'Colours: light' }).click();
      await expect.poll(background).not.toBe(light);
      await page.reload();
      await expect.poll(background).not.toBe(light);
    }));

  it('can be reached by keyboard', () =>
    visit('runs', [], async (page) => {
      await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe('Skip to the content');
      for (const name of ['Runs', 'Curves']) {
        await page.keyboard.press('Tab');
        expect(await page.evaluate('document.activeElement.textContent.trim()')).toBe(name);
      }
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Curves', exact: true }).waitFor();
    }));
});

it('follows a run that begins, trains and ends while the page is open', async () => {
  const empty = join(folder, 'empty');
  mkdirSync(empty);
  const live = await startDashboard(empty);
  const { page, problems } = await openPage(browser, live.url);
  try {
    await page.getByText('There are no runs here yet').waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    const training = conquer(
      'train',
      '--recipe',
      'demo',
      ...small,
      '--epochs',
      '2',
      '--runs-dir',
      empty,
      '--name',
      'live',
    );
    const status = page.getByRole('row', { name: /Pick live/ }).locator('.status');
    await expect.poll(() => status.innerText(), { timeout: 120_000 }).toContain('running');
    await page.getByRole('link', { name: 'Curves', exact: true }).click();
    const place = page.locator('[data-chart="recall"] .place');
    await expect.poll(() => place.innerText(), { timeout: 240_000 }).toBe('after 2 epochs');
    await training;
    const last = lines<EpochRecord>(join(empty, 'live/metrics.jsonl')).at(-1);
    await expect
      .poll(() => page.locator('[data-chart="nmi"] strong').innerText())
      .toBe(percent(last?.metrics?.NMI));
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await expect.poll(() => status.innerText(), { timeout: 30_000 }).toContain('finished');
    expect(problems).toEqual([]);
  } finally {
    await page.context().close();
    live.process.kill('SIGINT');
  }
});

it('holds 20,000 epochs', async () => {
  const long = join(folder, 'long');
  mkdirSync(long);
  cpSync(file('config.json'), join(long, 'config.json'));
  const [, first] = epochs() as [EpochRecord, EpochRecord];
  const step = lines<StepRecord>(file('steps.jsonl'))[0] as StepRecord;
  const all = Array.from({ length: 20_000 }, (_, epoch) => epoch);
  const write = (name: string, records: object[]) =>
    writeFileSync(join(long, name), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  write('metrics.jsonl', [epochs()[0] as object, ...all.map((epoch) => ({ ...first, epoch, steps: 2 }))]);
  write(
    'steps.jsonl',
    all.flatMap((epoch) => [0, 1].map((at) => ({ ...step, epoch, step: at, steps: 2 }))),
  );
  const { url, process } = await startDashboard(long);
  const { page, problems } = await openPage(browser, `${url}#/curves`);
  try {
    const place = page.locator('[data-chart="recall"] .place');
    await expect.poll(() => place.innerText(), { timeout: 30_000 }).toBe('after 20000 epochs');
    await page.getByRole('button', { name: 'Steps' }).click();
    await expect.poll(() => place.innerText()).toBe('after 40000 steps');
    await page.getByText('The numbers, epoch by epoch').click();
    await page.getByText(/^Of 20,000 epochs, 1,\d{3} are shown/).waitFor();
    const rows = page.getByRole('group', { name: /^Numbers of/ }).getByRole('row');
    expect(await rows.count()).toBe(201);
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(() => rows.count()).toBe(401);
    expect(problems).toEqual([]);
  } finally {
    await page.context().close();
    process.kill('SIGINT');
  }
});

it('compares runs in one report', async () => {
  const out = join(folder, 'several.html');
  await conquer('report', file(''), file('', LONG), '--out', out);
  expect(readFileSync(out, 'utf8')).not.toContain(folder);
  const { page, problems } = await openPage(browser, `${pathToFileURL(out)}#/runs`);
  try {
    await page.getByRole('checkbox', { name: 'Pick first' }).check();
    await page.getByRole('checkbox', { name: `Pick ${LONG}` }).check();
    for (const view of VIEWS) {
      await page.locator(`nav a[href^="#/${view}"]`).click();
      await settled(page);
      expect(await accessibilityProblems(page), view).toEqual([]);
      if (view === 'retrieval') expect(await page.locator('section[aria-label]').count()).toBe(2);
    }
    // Each run's own pictures.
    for (const name of ['first', LONG]) {
      const picture = page.getByRole('region', { name, exact: true }).locator('.items img').first();
      await expect.poll(() => picture.evaluate((one: DomNode) => one.naturalWidth)).toBeGreaterThan(0);
    }
    expect(problems).toEqual([]);
  } finally {
    await page.context().close();
  }
});

it('shows the same in a report, from a file and without a server', async () => {
  const out = join(folder, 'report.html');
  await conquer('report', file(''), '--out', out);
  const { page, problems } = await openPage(browser, `${pathToFileURL(out)}#/runs`);
  try {
    expect(await page.locator('tbody').first().innerText()).toContain(percent(best().metrics?.['R@1']));
    for (const view of VIEWS) {
      await page.locator(`nav a[href^="#/${view}"]`).click();
      await settled(page);
      expect(await accessibilityProblems(page), view).toEqual([]);
    }
    await expect.poll(() => page.locator('.items article').count()).toBe(12);
    await page.locator('nav a[href^="#/map"]').click();
    await page.getByLabel('Embedding').selectOption('learner 1');
    await settled(page);
    expect(await page.getByText('There is no map').count()).toBe(0);
    await page.locator('nav a[href^="#/retrieval"]').click();
    await settled(page);
    expect(
      await page
        .locator('.items img')
        .first()
        .evaluate((image: DomNode) => image.naturalWidth),
    ).toBeGreaterThan(0);
    expect(problems).toEqual([]);
  } finally {
    await page.context().close();
  }
});

/** The point whose nearest other is farthest, so that a pointer there is over no other. */
function loneliest({ x, y }: MapPoints): number {
  let [best, most] = [0, 0];
  for (const [i, xi] of x.entries()) {
    let nearest = Number.POSITIVE_INFINITY;
    for (const [j, xj] of x.entries()) {
      if (i !== j) nearest = Math.min(nearest, Math.hypot(xi - xj, (y[i] as number) - (y[j] as number)));
    }
    if (nearest > most) [best, most] = [i, nearest];
  }
  return best;
}
