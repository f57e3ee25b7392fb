import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { nodeModulesMatch, nodeTooOld } from './setup.mjs';

const work = mkdtempSync(join(tmpdir(), 'conquer-setup-'));
afterAll(() => rmSync(work, { recursive: true }));

function setUp(env) {
  const script = fileURLToPath(new URL('setup.mjs', import.meta.url));
  const clean = { ...process.env, LIBTORCH: undefined, LIBTORCH_USE_PYTORCH: undefined, CXX: undefined };
  return spawnSync(process.execPath, [script], { env: { ...clean, ...env }, encoding: 'utf8' });
}

test('where it may not install, it names what is missing and the exact commands', () => {
  // With an empty PATH there is no compiler and no apt-get.
  const { status, stdout, stderr } = setUp({ PATH: work });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('  g++: compiles the binding');
  expect(stderr).not.toContain('    at ');
  if (process.platform === 'linux') {
    expect(stderr).toMatch(
      /^ {2}sudo apt-get update\n {2}sudo apt-get install -y --no-install-recommends g\+\+/m,
    );
  }
});

test('a wrong LIBTORCH ends the set-up at once, in one line', () => {
  const { status, stderr } = setUp({ LIBTORCH: '/nonexistent' });
  expect(status).toBe(1);
  expect(stderr.trim()).toMatch(/^LIBTORCH=\/nonexistent is not a libtorch: looked for [^\n]+$/);
});

test('an old Node is refused with the version that is needed', () => {
  expect(nodeTooOld('18.20.4')).toContain('Node 20.19 or newer is needed, this is 18.20.4');
  expect(nodeTooOld('20.18.9')).toBeDefined();
  expect(nodeTooOld('20.19.0')).toBeUndefined();
  expect(nodeTooOld('24.0.0')).toBeUndefined();
});

test('node_modules is compared with the lock by version', () => {
  const write = (path, packages) => {
    mkdirSync(join(work, 'node_modules'), { recursive: true });
    writeFileSync(join(work, path), JSON.stringify({ packages }));
  };
  const locked = {
    '': { name: 'root' },
    'packages/a': { version: '0.1.0' },
    'node_modules/sharp': { version: '1.0.0' },
    'node_modules/sharp-other-system': { version: '1.0.0', optional: true },
  };
  write('package-lock.json', locked);
  expect(nodeModulesMatch(work)).toBe(false);
  write('node_modules/.package-lock.json', { 'node_modules/sharp': { version: '1.0.0' } });
  expect(nodeModulesMatch(work)).toBe(true);
  write('node_modules/.package-lock.json', { 'node_modules/sharp': { version: '0.9.0' } });
  expect(nodeModulesMatch(work)).toBe(false);
  write('node_modules/.package-lock.json', {});
  expect(nodeModulesMatch(work)).toBe(false);
});
