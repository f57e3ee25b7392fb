// Brings what is missing: system packages, node_modules, the native build, the TypeScript build.
// Idempotent, asks nothing, plain Node (it runs before anything is installed).
//   node scripts/setup.mjs          what training needs; which libtorch: see choose-libtorch.mjs
//   node scripts/setup.mjs --test   also PyTorch for Python and friends, which the tests compare with
//   node scripts/setup.mjs --bench  these and what only the benchmarks compare with
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findLibjpeg } from '../packages/native/builder/find-libjpeg.mjs';
import { multiarch, systemLibtorch } from '../packages/native/builder/find-libtorch.mjs';
import { SetupError } from '../packages/native/builder/setup-error.mjs';
import { chooseLibtorch } from './choose-libtorch.mjs';
import { bringPypiPeers, bringPyTorch } from './pypi-peers.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TORCH = join(ROOT, 'packages/torch');
const OLDEST_NODE = [20, 19];

/** Python modules that the tests compare with, and Debian's packages of them. */
const TEST_PEERS = {
  numpy: 'python3-numpy',
  PIL: 'python3-pil',
  scipy: 'python3-scipy',
  sklearn: 'python3-sklearn',
  torch: 'python3-torch',
  torchvision: 'python3-torchvision',
  'google.protobuf': 'python3-protobuf',
  // Without it no virtual environment is made.
  ensurepip: 'python3-venv',
};
/** The same for the benchmarks alone. */
const BENCH_PEERS = { faiss: 'python3-faiss' };
const PEERS = { ...TEST_PEERS, ...BENCH_PEERS };
const PEER_PYTHON = '/usr/bin/python3';

const say = (line) => console.log(line);

/** @returns {string | undefined} what is wrong with this version of Node */
export function nodeTooOld(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldMajor, oldMinor] = OLDEST_NODE;
  if (major > oldMajor || (major === oldMajor && minor >= oldMinor)) return undefined;
  return `Node ${oldMajor}.${oldMinor} or newer is needed, this is ${version}: install a newer one (https://nodejs.org) and run this again`;
}

const onPath = (name) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));

function missingPeers(peers) {
  // A folder that another package left behind is a module without an origin.
  const program = [
    'import importlib.util as u',
    'def there(name):',
    '  try: return getattr(u.find_spec(name), "origin", None)',
    '  except ModuleNotFoundError: return None', // what a dotted name is in is missing
    `print(*[name for name in ${JSON.stringify(Object.keys(peers))} if not there(name)])`,
  ].join('\n');
  const { status, stdout } = spawnSync(PEER_PYTHON, ['-c', program], { encoding: 'utf8' });
  const names = status === 0 ? stdout.trim().split(/\s+/).filter(Boolean) : Object.keys(peers);
  return names.map((name) => peers[name]);
}

/**
 * @param {import('../packages/native/builder/find-libtorch.mjs').Libtorch | undefined} libtorch undefined: the system's is wanted
 * @returns {{ name: string, why: string }[]} the system packages that are missing
 */
function missingPackages({ tests, bench }, libtorch) {
  const missing = [];
  if (!process.env.CXX && !onPath('c++')) missing.push({ name: 'g++', why: 'compiles the binding' });
  const system = `/usr/lib/${multiarch()}`;
  // A Python's is compared with that Python's PyTorch; what was fetched, now or before, has none.
  const compares =
    (tests || bench) && libtorch !== undefined && !existsSync(join(libtorch.root, '__init__.py'));
  const debian = process.platform === 'linux' && (!libtorch || libtorch.libDir === system || compares);
  if (debian ? systemLibtorch() === undefined : libtorch === undefined) {
    const why = compares ? 'the tensor engine that the tests compare with' : 'the tensor engine';
    missing.push({ name: 'libtorch-dev', why });
  }
  if (findLibjpeg() === undefined)
    missing.push({ name: 'libjpeg-dev', why: 'decodes JPEG, as libjpeg-turbo' });
  if (debian && !existsSync(join(system, 'openblas-openmp/libblas.so.3'))) {
    const why = "fast matrix products: with the reference BLAS, Debian's libtorch is dozens of times slower";
    missing.push({ name: 'libopenblas0-openmp', why });
  }
  if (tests || bench) {
    for (const name of missingPeers(TEST_PEERS)) missing.push({ name, why: 'the tests compare with it' });
  }
  if (tests && process.platform === 'linux') {
    const why = 'the tests open the dashboard in it';
    if (!existsSync('/usr/bin/chromium')) missing.push({ name: 'chromium', why });
    if (!existsSync('/usr/share/fonts/truetype/dejavu')) missing.push({ name: 'fonts-dejavu-core', why });
  }
  if (bench) {
    for (const name of missingPeers(BENCH_PEERS))
      missing.push({ name, why: 'the benchmarks compare with it' });
  }
  return missing;
}

const APT_OPTIONS = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];

function howToInstall(names) {
  if (process.platform === 'darwin') {
    const formulas = { 'libtorch-dev': 'pytorch', 'libjpeg-dev': 'jpeg-turbo' };
    const wanted = Object.keys(formulas).filter((name) => names.includes(name));
    const brew = wanted.length > 0 ? [`brew install ${wanted.map((name) => formulas[name]).join(' ')}`] : [];
    const peers = Object.keys(PEERS).filter((name) => names.includes(PEERS[name]));
    const pip = peers.map(
      (name) =>
        ({ PIL: 'pillow', sklearn: 'scikit-learn', faiss: 'faiss-cpu', 'google.protobuf': 'protobuf' })[
          name
        ] ?? name,
    );
    return [...brew, ...(pip.length > 0 ? [`${PEER_PYTHON} -m pip install ${pip.join(' ')}`] : [])];
  }
  return ['sudo apt-get update', `sudo apt-get install -y --no-install-recommends ${names.join(' ')}`];
}

/** @returns {string[] | string} the words to put before apt-get, or why it cannot be used */
function mayInstall() {
  if (process.platform !== 'linux' || !onPath('apt-get')) return 'there is no apt-get on this system';
  if (process.getuid() === 0) return ['env', 'DEBIAN_FRONTEND=noninteractive'];
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) {
    return ['sudo', '-n', 'env', 'DEBIAN_FRONTEND=noninteractive'];
  }
  return 'this user is not root and may not use sudo without a password';
}

/**
 * Runs apt-get; says how far it is now and then, and shows its words only when it fails. The way is counted from
 * apt's plain lines: APT::Status-Fd=1 closes the standard output of maintainer scripts, and some fail on that.
 */
function apt(prefix, args) {
  const [command, ...rest] = [...prefix, 'apt-get', ...args];
  return new Promise((done, failed) => {
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const kept = [];
    let partial = '';
    let steps = 0;
    let total = 0;
    let said = 0;
    const take = (chunk) => {
      const lines = (partial + chunk).split('\n');
      partial = lines.pop();
      for (const line of lines) {
        kept.push(line);
        total ||= 2 * Number(line.match(/(\d+) newly installed/)?.[1] ?? 0);
        if (/^(Unpacking|Setting up) /.test(line)) steps++;
        if (total > 0 && steps / total >= said + 0.2) {
          said = Math.floor((5 * steps) / total) / 5;
          say(`  ${Math.round(100 * said)} % installed`);
        }
      }
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', (chunk) => kept.push(chunk.trimEnd()));
    child.on('error', failed);
    child.on('close', (code) => {
      if (code === 0) return done();
      const causes = kept.filter((line) => /error|failed|^E:/i.test(line)).slice(0, 10);
      console.error([...causes, '…', ...kept.slice(-20)].join('\n'));
      failed(new SetupError(`apt-get ${args[0]} failed (exit code ${code}): see its messages above`));
    });
  });
}

async function systemPackages(peers, libtorch) {
  const missing = missingPackages(peers, libtorch);
  if (missing.length === 0) return say('system packages: all there');
  const names = missing.map(({ name }) => name);
  const prefix = mayInstall();
  const list = missing.map(({ name, why }) => `  ${name}: ${why}`).join('\n');
  if (typeof prefix === 'string') {
    const commands = howToInstall(names).map((line) => `  ${line}`);
    throw new SetupError(
      `system packages are missing:\n${list}\nand ${prefix}. Run:\n${commands.join('\n')}`,
    );
  }
  say(`system packages: installing with apt-get\n${list}`);
  await apt(prefix, ['update', '-q', '-o', 'DPkg::Lock::Timeout=300']);
  await apt(prefix, ['install', ...APT_OPTIONS, ...names]);
}

/** Whether node_modules holds the versions of the lock, by the record that npm leaves there when it has finished. */
export function nodeModulesMatch(root) {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const modules = Object.entries(locked).filter(([path]) => path.includes('node_modules/'));
  return modules.every(([path, { version, optional }]) =>
    // Optional packages for other systems are in the lock, but not installed.
    installed[path] === undefined ? optional === true : installed[path].version === version,
  );
}

function nodePackages() {
  if (nodeModulesMatch(ROOT)) return say('npm packages: all there');
  say('npm packages: npm ci, as node_modules is missing or not what package-lock.json says');
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error)
    throw new SetupError(`npm does not run (${error.message}): it comes with Node, put it on the PATH`);
  if (status !== 0) throw new SetupError('npm ci failed: see its messages above');
}

async function pypiPackages() {
  const failure = bringPypiPeers(ROOT, PEER_PYTHON);
  if (failure) throw new SetupError(`packages of PyPI that the tests compare with cannot be had: ${failure}`);
  say('packages of PyPI: all there');
  const wanting = await bringPyTorch(ROOT, PEER_PYTHON, say);
  if (wanting) say(`SKIPPED: the tests of the binding on libtorch 2.x: ${wanting}`);
}

/** What is used, why, and how another is taken. */
async function sayWhich(libtorch, why) {
  const { findLibtorchs } = await import('../packages/native/builder/find-binding.mjs');
  const others = findLibtorchs().filter(({ libDir }) => libDir !== libtorch.libDir);
  const rest = others.map(({ version, root }) => `; LIBTORCH=${root} takes ${version}`).join('');
  say(`set-up: on libtorch ${libtorch.version} in ${libtorch.libDir} (${why})${rest}`);
}

async function setUp(peers) {
  const start = performance.now();
  const old = nodeTooOld();
  if (old) throw new SetupError(old);
  const compares = peers.tests || peers.bench;
  const { libtorch: found, why } = await chooseLibtorch(TORCH, { mayFetch: !compares, say });
  await systemPackages(peers, found);
  const libtorch = found ?? systemLibtorch();
  nodePackages();
  if (peers.tests) await pypiPackages();
  // What it imports is installed by now.
  const { build } = await import('./build.mjs');
  const { comparedEnvironment } = await import('./compared-libtorchs.mjs');
  try {
    await build(say, libtorch);
    const compared = compares ? comparedEnvironment() : {};
    if (compared.LIBTORCH) {
      Object.assign(process.env, compared);
      await build(say);
    }
  } catch (error) {
    throw new SetupError(error.message);
  }
  await sayWhich(libtorch, why);
  say(`set-up: ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setUp({ tests: process.argv.includes('--test'), bench: process.argv.includes('--bench') });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
