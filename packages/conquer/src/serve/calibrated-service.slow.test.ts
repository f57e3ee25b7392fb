import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MatchThreshold, RunFolder } from '@conquer-dml/run';
import { accessibilityProblems, openPage, startBrowser } from '@conquer-dml/testing/browser';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calibrateIndex } from '../retrieve/calibrate-index.js';
import { classify } from '../retrieve/classify.js';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { openModel } from '../retrieve/open-model.js';
import { drawnExperiment, saveDrawn } from '../testing/saved-run.js';
import { type Service, serve } from './serve.js';

// What a service says of an index that knows what a similarity means, to programs and on its page.

const CLASSES = 40;
let folder: string;
let path: string;
let run: string;
let service: Service;
let uncalibrated: Service;

/** An image of a class: its colour and where it is. */
const disc = (label: number, image: number) =>
  discSvg({
    width: 40,
    x: 8 + (label % 5) * 6 + image / 2,
    y: 16,
    r: 8,
    fill: `hsl(${9 * label},90%,${50 + image}%)`,
  });
/** Like none of them. */
const strange = discSvg({ width: 40, x: 20, y: 16, r: 200, fill: '#000' });

beforeAll(async () => {
  folder = temporaryFolder();
  const photos = join(folder, 'photos');
  for (let label = 0; label < CLASSES; label++) {
    const own = join(photos, `class-${label}`);
    mkdirSync(own, { recursive: true });
    for (let image = 0; image < 3; image++) writeFileSync(join(own, `${image}.svg`), disc(label, image));
  }
  run = join(folder, 'run');
  const experiment = drawnExperiment();
  saveDrawn(RunFolder.create(run, experiment).bestCheckpoint, experiment, 1);
  path = join(folder, 'photos.index');
  using model = await openModel(run);
  const { index } = await indexFolder(model, photos);
  index.save(join(folder, 'plain.index'));
  calibrateIndex(index);
  index.save(path);
  index.dispose();
  service = await serve({ index: path, port: 0 });
  uncalibrated = await serve({ index: join(folder, 'plain.index'), port: 0 });
});

afterAll(async () => {
  await service?.close();
  await uncalibrated?.close();
});

interface Found {
  id: string;
  similarity: number;
  probability: number;
}

/** Of whichever route: what the tests look at. */
interface Answer {
  error: string;
  threshold: MatchThreshold;
  accepted: boolean[];
  matches: Found[][];
  classes: { label: string; confidence: number; votes: { label: string }[] }[];
  answer: 'same' | 'different';
  probability: number;
}

async function ask(to: Service, route: string, images: readonly string[]) {
  const body = new FormData();
  for (const image of images) body.append('image', new Blob([image]));
  const response = await fetch(new URL(route, to.url), { method: 'POST', body });
  return { status: response.status, body: (await response.json()) as Answer };
}

describe('a service of a calibrated index', () => {
  it('accepts what is alike enough, says no match of what is not, and by which threshold', async () => {
    using index = ImageIndex.open(path);
    const threshold = index.calibration!.thresholds.find(({ rate }) => rate === 0.1)!;
    const { body } = await ask(service, 'search?maxFalseMatch=0.1&top=200', [disc(3, 1), strange]);
    expect(body.threshold).toEqual(threshold);
    expect(body.accepted).toEqual([true, false]);
    const [found, none] = body.matches as [Found[], Found[]];
    expect(none).toEqual([]);
    expect(found[0]).toMatchObject({ id: 'class-3/1.svg', probability: expect.any(Number) });
    for (const { similarity } of found) expect(similarity).toBeGreaterThanOrEqual(threshold.similarity);
    // All that is left out is less alike.
    const all = (await ask(service, 'search?top=200', [disc(3, 1)])).body;
    expect(all).not.toHaveProperty('accepted');
    expect(all.matches[0]).toHaveLength(3 * CLASSES);
    expect(all.matches[0]![found.length]!.similarity).toBeLessThan(threshold.similarity);
  });

  it('classifies by the votes of neighbours, as the library does', async () => {
    const { body } = await ask(service, 'search?classify=true&top=1', [disc(7, 0), disc(20, 2)]);
    expect(body.classes.map(({ label }) => label)).toEqual(['class-7', 'class-20']);
    using index = ImageIndex.open(path);
    using model = await openModel(run);
    const rows = await model.embed([new TextEncoder().encode(disc(7, 0))]);
    const [expected] = await classify(index, rows);
    expect(body.classes[0]!.confidence).toBeCloseTo(expected!.confidence, 4);
    expect(body.classes[0]!.votes.map(({ label }) => label)).toEqual(
      expected!.votes.map(({ label }) => label),
    );
  });

  it('verifies two images by a rate, with the probability', async () => {
    const same = (await ask(service, 'verify', [disc(5, 0), disc(5, 0)])).body;
    expect(same).toMatchObject({ answer: 'same', threshold: { rate: 0.1 } });
    expect(same.probability).toBeGreaterThan(0.9);
    const other = (await ask(service, 'verify?maxFalseMatch=0.1', [disc(5, 0), strange])).body;
    expect(other).toMatchObject({ answer: 'different', threshold: { rate: 0.1 } });
    expect(other.probability).toBeLessThan(0.5);
  });

  it('refuses a rate that the calibration does not support, or that is none', async () => {
    for (const [route, images] of [
      ['search', [strange]],
      ['verify', [strange, strange]],
    ] as const) {
      const { status, body } = await ask(service, `${route}?maxFalseMatch=0.000001`, images);
      expect([status, body.error]).toEqual([409, expect.stringMatching(/supports rates of 0\.\d+ or more/)]);
      const none = await ask(service, `${route}?maxFalseMatch=2`, images);
      expect([none.status, none.body.error]).toEqual([
        400,
        expect.stringMatching(/^the query's maxFalseMatch/),
      ]);
      const plain = await ask(uncalibrated, `${route}?maxFalseMatch=0.01`, images);
      expect([plain.status, plain.body.error]).toEqual([
        409,
        expect.stringMatching(/not known what a similarity means.*conquer calibrate/),
      ]);
    }
    const { body } = await ask(uncalibrated, 'verify', [disc(1, 0), disc(1, 0)]);
    expect(body).toMatchObject({ answer: null, probability: null, threshold: null });
  });
});

describe('its page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  }, 120_000);
  afterAll(async () => await browser?.close());

  /** What dropping files does. */
  const dropped = (svg: string) => `(() => {
    const data = new DataTransfer();
    data.items.add(new File([${JSON.stringify(svg)}], 'photo.svg', { type: 'image/svg+xml' }));
    document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  })()`;

  it.each(['light', 'dark'] as const)('says of a dropped photo what it is like (%s)', async (scheme) => {
    const { page, problems } = await openPage(browser, service.url, { scheme });
    await page.waitForSelector('#rate option:nth-child(2)', { state: 'attached' });
    await page.evaluate(dropped(disc(3, 1)));
    await page.waitForSelector('#matches tr');
    const cells = await page.locator('#matches tr').first().locator('td').allTextContents();
    expect(cells).toEqual([
      '1.000',
      expect.stringMatching(/^(100|99\.\d+|99) %$/),
      'class-3',
      'class-3/1.svg',
    ]);
    expect(await page.locator('#class').textContent()).toMatch(/^class class-3, by \d/);
    expect(await page.locator('#verdict').textContent()).toBe('');
    await page.selectOption('#rate', '0.1');
    await page.waitForSelector('#verdict.yes');
    expect(await page.locator('#verdict').textContent()).toMatch(
      /^accepted: class-3\/1\.svg, probability \S+ % at a false-match rate of 10 % \(alike from 0\.\d+ on\)$/,
    );
    await page.check('#explain');
    const isDrawn = () =>
      page.evaluate(`(() => {
        const map = document.getElementById('map');
        return map.width > 0 && map.getContext('2d').getImageData(0, 0, map.width, map.height).data.some((value) => value > 0);
      })()`);
    await expect.poll(isDrawn, { timeout: 30_000 }).toBe(true);
    expect(await accessibilityProblems(page)).toEqual([]);
    if (process.env.SCREENSHOTS)
      await page.screenshot({ path: join(process.env.SCREENSHOTS, `serve-${scheme}.png`) });
    await page.uncheck('#explain');
    await page.evaluate(dropped(strange));
    await page.waitForSelector('#verdict.no');
    expect(await page.locator('#verdict').textContent()).toMatch(/^no match at a false-match rate of 10 %/);
    await page.evaluate(dropped('no image'));
    await expect
      .poll(() => page.locator('#status').textContent(), { timeout: 30_000 })
      .toMatch(/cannot be read/);
    // The browser itself says on its console that it was refused.
    expect(problems.filter((one) => !/422/.test(one))).toEqual([]);
    await page.context().close();
  });
});
