import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { program } from '@conquer-dml/testing/program';
import { type Browser, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';

/** Where Debian's package puts it. */
const CHROMIUM = '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // WebGL without a graphics card.
    args: ['--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
    chromiumSandbox: process.getuid?.() !== 0,
    timeout: 120_000,
  });
}

/** What the tests use of an element of the page; Node has no types of those. */
export interface DomNode {
  textContent: string;
  children: Iterable<DomNode>;
  querySelector(selector: string): DomNode;
  querySelectorAll(selector: string): Iterable<DomNode>;
  /** Of images. */
  alt: string;
  naturalWidth: number;
}

export interface OpenOptions {
  scheme?: 'light' | 'dark';
  width?: number;
}

/** A page that notes all that goes wrong in it. */
export interface WatchedPage {
  page: Page;
  /** Errors on the console, exceptions, violations of the content security policy, requests to elsewhere. */
  problems: string[];
}

export async function openPage(
  browser: Browser,
  url: string,
  options: OpenOptions = {},
): Promise<WatchedPage> {
  const { scheme = 'light', width = 1280 } = options;
  const context = await browser.newContext({
    viewport: { width, height: width < 600 ? 844 : 900 },
    colorScheme: scheme,
    hasTouch: width < 600,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack}`));
  const { origin } = new URL(url);
  page.on('request', (request) => {
    const address = request.url();
    const own = url.startsWith('file:')
      ? address.split('#')[0] === url.split('#')[0]
      : address.startsWith(`${origin}/`);
    if (!own && !/^(data|blob):/.test(address)) problems.push(`request: ${address}`);
  });
  await page.addInitScript(
    `addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective, event.blockedURI))`,
  );
  await page.goto(url);
  return { page, problems };
}

/** What axe finds wrong, in a line each. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = (await page.evaluate(`axe.run().then(({ violations }) => violations.flatMap((violation) =>
    violation.nodes.map((node) => violation.id + ': ' + node.html.slice(0, 160) + ' ' + node.any.map((one) => one.message).join('; '))))`)) as string[];
  return found;
}

/** Pixels of a canvas that are near a colour. */
export async function pixelsOfColour(
  page: Page,
  canvas: string,
  [r, g, b]: [number, number, number],
): Promise<number> {
  return (await page.evaluate(`(() => {
    const canvas = document.querySelector(${JSON.stringify(canvas)});
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] > 200 && Math.abs(data[i] - ${r}) + Math.abs(data[i + 1] - ${g}) + Math.abs(data[i + 2] - ${b}) < 30) n++;
    return n;
  })()`)) as number;
}

/** Runs the command line to its end. */
export function conquer(...args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', failed);
    child.on('close', (code) =>
      code === 0 ? done(output) : failed(new Error(`conquer ${args[0]} ended with ${code}:\n${output}`)),
    );
  });
}

/** Starts `conquer dashboard`; answers its address once it listens. */
export async function startDashboard(runsDir: string): Promise<{ url: string; process: ChildProcess }> {
  const child = spawn(process.execPath, [program, 'dashboard', runsDir, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((done, failed) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /http:\/\/\S+/.exec(output);
      if (found) done(found[0]);
    });
    child.on('close', () => failed(new Error(`the dashboard ended: ${output}`)));
  });
  return { url, process: child };
}

export const lines = <T>(file: string): T[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

/** An int32 or float32 tensor of a safetensors file, flat. */
export function tensor(file: string, name: string): { shape: number[]; values: Int32Array | Float32Array } {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const entry = header[name];
  expect(entry, name).toBeDefined();
  const { dtype, shape, data_offsets } = entry as NonNullable<typeof entry>;
  // A copy, so that it is aligned.
  const data = new Uint8Array(bytes.subarray(start + data_offsets[0], start + data_offsets[1])).buffer;
  return { shape, values: dtype === 'I32' ? new Int32Array(data) : new Float32Array(data) };
}
