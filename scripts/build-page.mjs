// Builds the dashboard's page (packages/dashboard/page, Svelte) with Vite into packages/dashboard/dist/page, unless
// nothing has changed since the last time.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const DASHBOARD = join(ROOT, 'packages/dashboard');
const STAMP = join(DASHBOARD, 'dist/page/.built-from');

/** A hash of all that the page is built from. */
function inputs() {
  const page = readdirSync(join(DASHBOARD, 'page'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const shared = readdirSync(join(DASHBOARD, 'src'))
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(DASHBOARD, 'src', name));
  const hash = createHash('sha256');
  for (const file of [join(ROOT, 'package-lock.json'), ...page.sort(), ...shared.sort()]) {
    hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

/** @returns {Promise<boolean>} whether it was built anew */
export async function buildPage(say = () => {}) {
  const now = inputs();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === now) {
    say('page: up to date');
    return false;
  }
  say('page: vite build');
  const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
  const args = [vite, 'build', join(DASHBOARD, 'page'), '--logLevel', 'warn'];
  try {
    await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  } catch (error) {
    throw new Error(`the page's build failed:\n${error.stderr || error.message}`);
  }
  writeFileSync(STAMP, now);
  return true;
}
