// What conquer stands on has to run where conquer says that it runs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import semver from 'semver';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const readJson = (file) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));

test('every package that is installed with conquer declares the Node that conquer declares', () => {
  const { engines } = readJson('package.json');
  const installed = Object.entries(readJson('package-lock.json').packages).filter(
    // Of the optional ones, those for other systems are not looked at: one of sharp's is for 32 bits, and an older Node.
    ([path, { dev, devOptional, optional }]) =>
      path.includes('node_modules/') && !dev && !devOptional && !optional,
  );
  expect(installed.length).toBeGreaterThan(30);
  const tooNew = installed.filter(
    ([, one]) => one.engines?.node && !semver.subset(engines.node, one.engines.node),
  );
  expect(tooNew.map(([path, one]) => `${path} ${one.version} wants Node ${one.engines.node}`)).toEqual([]);
});
