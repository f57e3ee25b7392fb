// npm run check: build, types, lint, import directions, stale generated code, the fast tests.
// npm test (--all): the set-up with the tests' peers first, and the slow tests too; those of packages/torch once more on each
// other libtorch that is here with its PyTorch.
// The last line is "N passed, N failed": tests, and each of the other checks counts as one.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { comparedLibtorchs } from './compared-libtorchs.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const all = process.argv.includes('--all');
const total = { passed: 0, failed: 0 };

function run(title, command, args, env = process.env) {
  console.log(`\n== ${title}`);
  const start = performance.now();
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env });
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

/** @param {string[]} only filters of files; default all */
function tests(project, title = `${project} tests`, only = [], env = process.env) {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-tests-'));
  const file = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const [command, args] = tool('vitest', 'run', '--project', project, ...reporters, ...only);
  const succeeded = run(title, command, args, env);
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
  if (all) {
    tests('slow');
    const { used, others } = comparedLibtorchs();
    for (const { version, root } of others) {
      const title = `tests of packages/torch on libtorch ${version}`;
      tests('fast', title, ['packages/torch'], { ...process.env, LIBTORCH: root });
    }
    if (others.length === 0) {
      console.log(
        `\nSKIPPED: tests of packages/torch on another libtorch than ${used?.version}: there is none here with its PyTorch (the set-up says above why it brought none)`,
      );
    }
  }
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
