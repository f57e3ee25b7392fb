// What the tests compare with and Debian has not: packages of PyPI in a virtual environment of this checkout's own.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** By name, in the version that the tests were written against. */
const VERSIONS = { 'huggingface-hub': '2.4.0' };

/**
 * Brings them into `.cache/peers`, which sees the system's packages too.
 *
 * @param {string} root of the checkout
 * @param {string} python the system's interpreter
 * @returns {string | null} what failed
 */
export function bringPypiPeers(root, python) {
  const folder = join(root, '.cache/peers');
  const wanted = Object.entries(VERSIONS).map(([name, version]) => `${name}==${version}`);
  const record = join(folder, 'brought.json');
  const text = JSON.stringify(wanted);
  if (existsSync(record) && readFileSync(record, 'utf8') === text) return null;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const steps = [
    [python, '-m', 'venv', '--system-site-packages', folder],
    [join(folder, 'bin/python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...wanted],
  ];
  for (const [command, ...args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) return `${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  writeFileSync(record, text);
  return null;
}
