// npm run check: build, types, lint, import directions, stale generated code, the fast tests.
// npm test (--all): the set-up with the tests' peers first, and the slow tests too.
// The last line is "N passed, N failed": tests, and each of the other checks counts as one.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const all = process.argv.includes('--all');
const total = { passed: 0, failed: 0 };

function run(title, command, args) {
  console.log(`\n== ${title}`);
  const start = performance.now();
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit' });
  if (error) console.error(error.message);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`== ${title}: ${status === 0 ? 'passed' : 'FAILED'} after ${seconds} s`);
  return status === 0;
}

const node = (...args) => [process.execPath, args];
const tool = (name, ...args) => [join(ROOT, 'node_modules/.bin', name), args];

function check(title, [command, args]) {
  const passed = run(title, command, args);
  total[passed ? 'passed' : 'failed'] += 1;
  return passed;
}

/** Tests of vitest's JSON report; a file that could not be loaded counts as one failure. */
function count(report) {
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

function tests(project) {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-tests-'));
  const file = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const [command, args] = tool('vitest', 'run', '--project', project, ...reporters);
  const succeeded = run(`${project} tests`, command, args);
  let counts = { passed: 0, failed: 0 };
  try {
    counts = count(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    console.error(`no test report: ${error.message}`);
  }
  rmSync(folder, { recursive: true });
  total.passed += counts.passed;
  // Whatever else made vitest fail (an error outside of any test, no tests at all) must show.
  total.failed += succeeded ? counts.failed : Math.max(counts.failed, 1);
}

const ready = all
  ? check('set-up', node('scripts/setup.mjs', '--test'))
  : check('build', node('scripts/build.mjs'));
if (ready) {
  check('types', tool('tsc', '--noEmit', '-p', 'tsconfig.test.json'));
  check('types of the page', tool('tsc', '--noEmit', '-p', 'packages/dashboard/page/tsconfig.json'));
  check('lint', tool('biome', 'ci', '--error-on-warnings', '.'));
  check('import directions', node('scripts/import-directions.mjs'));
  check('generated code', node('packages/torch/codegen/generate.mjs', '--check'));
  tests('fast');
  if (all) tests('slow');
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
