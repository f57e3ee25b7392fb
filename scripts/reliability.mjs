// The tests of docs/reliability.md at their full size: npm run kill-test, fuzz, soak. npm test runs smaller ones.
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TESTS = {
  'kill-test': [{ CONQUER_KILLS: '200' }, ['conquer/src/cli/kill']],
  fuzz: [
    { CONQUER_FUZZ: '100000', CONQUER_CALLS: '8000' },
    ['conquer/src/testing/hostile', 'torch/src/serialization/hostile', 'torch/src/hostile-calls'],
  ],
  soak: [{ CONQUER_SOAK: '2000' }, ['conquer/src/cli/soak']],
};
const [full, tests] = TESTS[process.argv[2]] ?? [];
if (full === undefined) {
  console.error(`which? node scripts/reliability.mjs ${Object.keys(TESTS).join(' | ')}`);
  process.exit(2);
}
const vitest = join(ROOT, 'node_modules/.bin/vitest');
const files = tests.map((test) => join('packages', test));
const { status } = spawnSync(vitest, ['run', '--project', 'slow', ...files], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...full, ...process.env },
});
process.exit(status ?? 1);
