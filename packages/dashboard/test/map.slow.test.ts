import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { accessibilityProblems, openPage, startBrowser } from '@conquer-dml/testing/browser';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSES, writeLargeRun } from '../src/testing/large-run.js';
import { type RunFiles, writeRunFiles } from '../src/testing/run-files.js';
import { type DomNode, startDashboard } from './browser.js';

let runs: string;
let run: RunFiles;
let browser: Browser;
let dashboard: { url: string; process: ChildProcess };

beforeAll(async () => {
  const folder = temporaryFolder();
  runs = join(folder, 'runs');
  // 24 images on a circle, the first of them on its right, the others the way against the clock; its own classes follow each other.
  run = await writeRunFiles(join(runs, 'circle'), { dataDir: join(folder, 'data') });
  [dashboard, browser] = await Promise.all([startDashboard(runs), startBrowser()]);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  dashboard?.process.kill('SIGINT');
});

async function visit(name: string, then: (page: Page) => Promise<void>) {
  const { page, problems } = await openPage(browser, `${dashboard.url}#/map?run=${name}`);
  try {
    await page.getByRole('img', { name: /^Map of/ }).waitFor();
    await then(page);
    expect(problems).toEqual([]);
  } finally {
    await page.context().close();
  }
}

/** Where a place of the map is on the page. */
async function onPage(page: Page, x: number, y: number): Promise<[number, number]> {
  const box = (await page.getByRole('img', { name: /^Map of/ }).boundingBox()) as NonNullable<
    Awaited<ReturnType<ReturnType<Page['locator']>['boundingBox']>>
  >;
  const scale = (0.95 * Math.min(box.width, box.height)) / 2;
  return [box.x + box.width / 2 + x * scale, box.y + box.height / 2 - y * scale];
}

/** Draws a line through these places of the map. */
async function drawLasso(page: Page, places: [number, number][]) {
  const [first, ...others] = await Promise.all(places.map(([x, y]) => onPage(page, x, y)));
  await page.mouse.move(...(first as [number, number]));
  await page.mouse.down();
  for (const place of others) await page.mouse.move(...place, { steps: 4 });
  await page.mouse.up();
}

const selection = (page: Page) => page.getByRole('group', { name: 'Selection' });
/** The upper half, with room around. */
const UPPER_HALF: [number, number][] = [
  [1.04, 0.02],
  [1.04, 1.04],
  [-1.04, 1.04],
  [-1.04, 0.02],
];

/** How many pixels of the map have each colour, most first, without its ground. */
const colours = async (page: Page): Promise<Map<string, number>> => {
  const counts = (await page.evaluate(`(() => {
    const canvas = document.querySelector('.cloud canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const counts = new Map();
    for (let i = 0; i < data.length; i += 4) {
      const colour = [data[i], data[i + 1], data[i + 2]].join();
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1]).slice(1);
  })()`)) as [string, number][];
  return new Map(counts);
};

describe('the lasso', () => {
  it('selects what it encloses, shows its pictures, and lets go of it', () =>
    visit('circle', async (page) => {
      await page.getByRole('button', { name: 'Lasso' }).click();
      await drawLasso(page, UPPER_HALF);
      // From the second image to the twelfth: the first and the thirteenth lie at the height of the middle.
      const enclosed = run.labels.flatMap((_, i) => (Math.sin((2 * Math.PI * i) / 24) > 0.02 ? [i] : []));
      await selection(page).getByText(`${enclosed.length}\u00a0images selected`).waitFor();
      const pictures = selection(page).locator('li img');
      expect(
        await pictures.evaluateAll((images: DomNode[]) => images.map(({ alt }) => alt.match(/\d+$/)?.[0])),
      ).toEqual(enclosed.map((i) => String(i + 1)));
      await expect
        .poll(() => pictures.first().evaluate((image: DomNode) => image.naturalWidth))
        .toBeGreaterThan(0);
      expect(await selection(page).innerText()).toMatch(/script.* 6, class 0 5/s);
      expect(await accessibilityProblems(page)).toEqual([]);
      // Once drawn, a drag moves the map again; with Shift it draws.
      expect(await page.getByRole('button', { name: 'Lasso' }).getAttribute('aria-pressed')).toBe('false');
      await page.keyboard.down('Shift');
      await drawLasso(page, [
        [0.9, -0.1],
        [1.04, -0.1],
        [1.04, 0.1],
        [0.9, 0.1],
      ]);
      await page.keyboard.up('Shift');
      await selection(page).getByText('1\u00a0image selected').waitFor();
      await pictures.first().click();
      await page
        .getByRole('group', { name: 'Neighbours' })
        .getByAltText(/^Query/)
        .waitFor();
      await selection(page).getByRole('button', { name: 'Deselect' }).click();
      expect(await selection(page).count()).toBe(0);
    }));

  it('selects only what is shown', () =>
    visit('circle', async (page) => {
      await page
        .getByRole('group', { name: 'Legend' })
        .getByRole('button', { name: /^class 0/ })
        .click();
      await page.getByRole('button', { name: 'Lasso' }).click();
      await drawLasso(page, UPPER_HALF);
      await selection(page).getByText('5\u00a0images selected').waitFor();
    }));
});

it('colours by class, by the label of the nearest, by cluster and by error', () =>
  visit('circle', async (page) => {
    // Four classes; of the first and the third an image lies among those of the next; two clusters.
    const shown: Record<string, number> = { class: 4, 'nearest label': 4, cluster: 2, error: 2 };
    const seen = new Set<string>();
    for (const [name, kinds] of Object.entries(shown)) {
      await page.getByRole('button', { name, exact: true }).click();
      // Not those of the button before, which may have as many.
      const shownNow = async () => {
        const now = await colours(page);
        const text = JSON.stringify([...now].sort());
        if (now.size !== kinds || seen.has(text)) return false;
        seen.add(text);
        return true;
      };
      await expect.poll(shownNow, { message: name }).toBe(true);
    }
    expect(seen.size).toBe(4);
    // Errors are red: two images that lie astray, and one whose nearest does.
    const wrong = page.getByRole('button', { name: /^wrong/ });
    expect(await wrong.innerText()).toMatch(/\n3$/);
    await wrong.click();
    await expect.poll(async () => [...(await colours(page)).keys()]).toEqual(['214,80,63']);
  }));

it('shows pictures on the map', () =>
  visit('circle', async (page) => {
    await page.getByRole('checkbox', { name: 'Pictures' }).check();
    const pictures = page.locator('.cloud .picture img');
    await expect.poll(() => pictures.count()).toBeGreaterThan(8);
    await expect
      .poll(() => pictures.first().evaluate((image: DomNode) => image.naturalWidth))
      .toBeGreaterThan(0);
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.getByRole('checkbox', { name: 'Pictures' }).uncheck();
    await expect.poll(() => pictures.count()).toBe(0);
  }));

it('names the command where a run keeps no map, and shows one as it comes', async () => {
  const files = await writeRunFiles(join(runs, 'unmapped'), { dataDir: join(runs, '../data') });
  rmSync(join(files.path, 'map-full.safetensors'));
  const { page } = await openPage(browser, `${dashboard.url}#/map?run=unmapped`);
  try {
    await page.getByText(/conquer map \S*unmapped$/).waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    await writeRunFiles(join(runs, 'unmapped'), { dataDir: join(runs, '../data') });
    await page.getByRole('img', { name: /^Map of/ }).waitFor();
  } finally {
    await page.context().close();
  }
});

it('holds a million points', { timeout: 120_000 }, async () => {
  const points = 1_000_000;
  writeLargeRun(join(runs, 'million'), points);
  await visit('million', async (page) => {
    await page.getByRole('img', { name: /^Map of 1,000,000/ }).waitFor();
    await expect.poll(async () => (await colours(page)).size).toBe(CLASSES);
    await page.getByRole('button', { name: 'error', exact: true }).click();
    await expect.poll(async () => (await colours(page)).size).toBe(2);
    await page.getByRole('button', { name: 'Lasso' }).click();
    await drawLasso(page, [
      [-1.04, -1.04],
      [1.04, -1.04],
      [1.04, 1.04],
      [-1.04, 1.04],
    ]);
    await selection(page).getByText('1,000,000\u00a0images selected').waitFor();
    expect(await selection(page).innerText()).toMatch(/of 200 classes/);
  });
  rmSync(join(runs, 'million'), { recursive: true });
});
