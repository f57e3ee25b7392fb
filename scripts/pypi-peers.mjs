// What the tests compare with and Debian has not: packages of PyPI in a virtual environment of this checkout's own.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** By name, in the version that the tests were written against. */
const VERSIONS = { 'huggingface-hub': '2.4.0', safetensors: '0.8.0' };

/** Without what they ask for: the system's PyTorch and torchvision do. */
const ALONE = { timm: '1.0.31' };

/**
 * Brings them into `.cache/peers`, which sees the system's packages too.
 *
 * @param {string} root of the checkout
 * @param {string} python the system's interpreter
 * @returns {string | null} what failed
 */
export function bringPypiPeers(root, python) {
  const folder = join(root, '.cache/peers');
  const [wanted, alone] = [VERSIONS, ALONE].map((versions) =>
    Object.entries(versions).map(([name, version]) => `${name}==${version}`),
  );
  const record = join(folder, 'brought.json');
  const text = JSON.stringify([...wanted, ...alone]);
  if (existsSync(record) && readFileSync(record, 'utf8') === text) return null;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const pip = [join(folder, 'bin/python'), '-m', 'pip'];
  const install = [...pip, 'install', '--quiet', '--disable-pip-version-check'];
  const steps = [
    [python, '-m', 'venv', '--system-site-packages', folder],
    [...install, ...wanted],
    [...install, '--no-deps', ...alone],
  ];
  for (const [command, ...args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) return `${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  writeFileSync(record, text);
  return null;
}
