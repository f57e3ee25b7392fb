import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Where Debian's package puts it. */
const CHROMIUM = '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** @param more arguments of Chromium */
export function startBrowser(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // WebGL without a graphics card.
    args: ['--use-angle=swiftshader', '--enable-unsafe-swiftshader', ...more],
    chromiumSandbox: process.getuid?.() !== 0,
    timeout: 120_000,
  });
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
