// How long a frame of the dashboard's map takes in Chromium without a graphics card (SwiftShader), while it is zoomed and dragged:
//
//   node bench/map-frames.mjs [--points 200000] [--frames 60]
//
// The run is drawn (packages/dashboard/src/testing/large-run.ts). Each frame the page is given a turn of the wheel or a drag, and waits
// for the next: told is the time from one frame to the next.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';
import { serveDashboard } from '../packages/dashboard/dist/index.js';
import { commandLine } from './command-line.mjs';
import { median } from './sides.mjs';

const { values } = commandLine({
  points: { type: 'number', default: 200_000 },
  frames: { type: 'number', default: 60 },
});
const source = (path) => fileURLToPath(new URL(`../packages/${path}`, import.meta.url));
const { module: large } = await runnerImport(source('dashboard/src/testing/large-run.ts'));
const { module: testing } = await runnerImport(source('testing/src/browser.ts'));

const folder = mkdtempSync(join(tmpdir(), 'map-frames-'));
large.writeLargeRun(join(folder, 'large'), values.points);
const dashboard = await serveDashboard({ runsDir: folder, port: 0 });
const browser = await testing.startBrowser();
try {
  const start = performance.now();
  const { page } = await testing.openPage(browser, `${dashboard.url}#/map?run=large`);
  await page.getByRole('img', { name: /^Map of/ }).waitFor();
  console.log(
    `${values.points} points: on the page after ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  for (const how of ['zoom', 'drag']) {
    const gaps = await page.evaluate(`(async () => {
      const canvas = document.querySelector('.cloud canvas');
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const at = { clientX: left + width / 2, clientY: top + height / 2, bubbles: true, pointerId: 1, button: 0 };
      canvas.setPointerCapture = () => {};
      const gaps = [];
      if ('${how}' === 'drag') canvas.dispatchEvent(new PointerEvent('pointerdown', at));
      let before = await new Promise(requestAnimationFrame);
      for (let i = 0; i < ${values.frames}; i++) {
        if ('${how}' === 'zoom') canvas.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: i % 20 < 10 ? -20 : 20 }));
        else canvas.dispatchEvent(new PointerEvent('pointermove', { ...at, clientX: at.clientX + 3 * (i % 40), clientY: at.clientY + i % 30 }));
        const now = await new Promise(requestAnimationFrame);
        gaps.push(now - before);
        before = now;
      }
      if ('${how}' === 'drag') canvas.dispatchEvent(new PointerEvent('pointerup', at));
      return gaps.slice(2);
    })()`);
    const sorted = gaps.toSorted((a, b) => a - b);
    console.log(
      `${how}: ${median(gaps).toFixed(0)} ms a frame (median), 95 % within ${sorted[Math.floor(0.95 * sorted.length)].toFixed(0)} ms`,
    );
  }
} finally {
  await browser.close();
  await dashboard.close();
  rmSync(folder, { recursive: true, force: true });
}
