import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPairs } from '@conquer-dml/native/find-binding';
import { type DType, Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';

/** The binding that tests load, and its libtorch. */
const pair = () => findPairs('torch', fileURLToPath(new URL('../../torch', import.meta.url)))[0];

/**
 * The Python in whose packages the libtorch lies that the tests run on: what that computes is compared with the PyTorch of its
 * very version. Undefined where it lies elsewhere.
 */
function ownerOfLibtorch(): string | undefined {
  const [, prefix] =
    / in (.*)\/lib\/python[\d.]+\/site-packages\/torch\/lib\b/.exec(pair()?.what ?? '') ?? [];
  return prefix === undefined ? undefined : join(prefix, 'bin/python');
}

/** The interpreter of the peer; `CONQUER_PYTHON` names another one. Debian's python3-torch belongs to the system's. */
const peer = process.env.CONQUER_PYTHON ?? ownerOfLibtorch() ?? '/usr/bin/python3';

/** That of the packages of PyPI that the set-up for tests brings, see scripts/pypi-peers.mjs. */
export const pypiPython = fileURLToPath(new URL('../../../.cache/peers/bin/python', import.meta.url));

/** That of transformers, which is brought along with them. */
export const transformersPython = fileURLToPath(
  new URL('../../../.cache/transformers/bin/python', import.meta.url),
);

/** A tensor on its way between the two processes: raw little-endian elements, row-major, in a file. */
interface TensorFile {
  $tensor: { file: string; dtype: DType; shape: number[] };
}

// Runs in Python around the snippet: rebuilds tensors, calls the snippet, writes its `output`.
const wrapper = `
import json, os, sys
folder = sys.argv[1]

def decode(value):
    if isinstance(value, dict):
        if '$tensor' in value:
            import numpy, torch
            t = value['$tensor']
            array = numpy.fromfile(os.path.join(folder, t['file']), dtype=t['dtype'])
            return torch.from_numpy(array.reshape(t['shape']))
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value

count = 0

def encode(value):
    global count
    torch, numpy = sys.modules.get('torch'), sys.modules.get('numpy')
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if numpy is not None and isinstance(value, numpy.ndarray):
        file = f'output{count}'
        count += 1
        numpy.ascontiguousarray(value).tofile(os.path.join(folder, file))
        return {'$tensor': {'file': file, 'dtype': str(value.dtype), 'shape': list(value.shape)}}
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value

def import_torchvision():
    # Its compiled operators load beside one build of torch alone, and its import fails where they did not. No snippet uses one.
    import torch
    real = getattr(torch.library, 'register_fake', None)
    if real:
        torch.library.register_fake = (
            lambda op, *a, **k: (lambda f: f) if op.startswith('torchvision::') else real(op, *a, **k))
    import torchvision
    if real:
        torch.library.register_fake = real

with open(os.path.join(folder, 'snippet.py')) as f:
    snippet = f.read()
if 'torchvision' in snippet:
    import_torchvision()
with open(os.path.join(folder, 'input.json')) as f:
    scope = {'__name__': '__main__', 'input': decode(json.load(f))}
exec(compile(snippet, 'snippet', 'exec'), scope)
if 'output' not in scope:
    raise SystemExit('the snippet has to assign its result to the variable output')
with open(os.path.join(folder, 'output.json'), 'w') as f:
    json.dump(encode(scope['output']), f, allow_nan=False)
`;

function python(interpreter: string, args: string[], input?: string) {
  return spawnSync(interpreter, args, { encoding: 'utf8', input, maxBuffer: 1 << 28 });
}

/** Which of these Python modules cannot be found (all of them where there is no Python). */
function missingModules(interpreter: string, modules: string[]): string[] {
  const probe =
    'import importlib.util, sys; print([m for m in sys.argv[1:] if not importlib.util.find_spec(m)])';
  const { status, stdout } = python(interpreter, ['-c', probe, ...modules]);
  if (status !== 0) return modules;
  return modules.filter((module) => stdout.includes(`'${module}'`));
}

/** Why what the peer's PyTorch computes is not compared with: bits belong to a version. Null where it has ours, or none. */
function otherVersion(): string | null {
  const [, ours] = /libtorch (\d+\.\d+)/.exec(pair()?.what ?? '') ?? [];
  // Read, and not imported, which takes seconds.
  const program = `
import importlib.util, os
spec = importlib.util.find_spec('torch')
with open(os.path.join(os.path.dirname(spec.origin), 'version.py')) as f:
    print(f.read())
`;
  const [, theirs] = /__version__ = ['"](\d+\.\d+)/.exec(python(peer, ['-c', program]).stdout ?? '') ?? [];
  if (ours === undefined || theirs === undefined || ours === theirs) return null;
  return `the tests run on libtorch ${ours}, and the PyTorch of ${peer} is ${theirs}`;
}

/**
 * A `describe` for tests against Python. Where Python or one of `modules` is missing, its tests are skipped with
 * a line that says so; with `CI=true` a missing peer is a failure.
 */
export function describeWithPython(name: string, modules: string[], tests: () => void): void {
  const advice = 'install python3-torch and python3-torchvision (npm run setup -- --test)';
  const other = modules.includes('torch') && process.env.CONQUER_PYTHON === undefined ? otherVersion() : null;
  describeWith(other ?? whyMissing(peer, modules, advice), name, tests);
}

/** The same of packages of PyPI, which `pypiPython` has, or another interpreter. */
export function describeWithPyPI(
  name: string,
  modules: string[],
  tests: () => void,
  interpreter = pypiPython,
): void {
  describeWith(whyMissing(interpreter, modules, 'bring them with npm run setup -- --test'), name, tests);
}

function whyMissing(interpreter: string, modules: string[], advice: string): string | null {
  const missing = missingModules(interpreter, modules);
  return missing.length === 0 ? null : `${interpreter} has no ${missing.join(', ')}: ${advice}`;
}

/** Milliseconds for a test: to import PyTorch takes 3 s of a processor, which on a crowded machine is half a minute. */
const PATIENCE = 600_000;

function describeWith(message: string | null, name: string, tests: () => void): void {
  if (message === null) {
    describe(name, { timeout: PATIENCE }, tests);
    return;
  }
  if (process.env.CI === 'true') {
    it(`${name} needs its peer in Python`, () => expect.fail(message));
    return;
  }
  process.stderr.write(`SKIPPED: ${name}: ${message}\n`);
  // Their block is not run, which may ask the peer already.
  describe.skip(name, () => it('is compared with a peer in Python', () => {}));
}

function indent(code: string): string {
  // Snippets stand indented inside TypeScript; Python wants them at the margin.
  const lines = code.split('\n');
  const margins = lines
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length);
  const margin = Math.min(...margins);
  return lines.map((line) => line.slice(margin)).join('\n');
}

/**
 * Runs a Python snippet and returns what it assigned to `output`. The snippet finds `input` as a variable.
 *
 * Both may nest lists, objects, strings, finite numbers and tensors: a `Tensor` in `input` is a `torch.Tensor` in
 * Python, and a torch tensor or NumPy array in `output` comes back as a `Tensor` of the same dtype and shape.
 * The code's common indentation is removed. Throws with Python's traceback when it fails.
 *
 * @param interpreter that of PyTorch's peer when left out; `pypiPython` has packages of PyPI as well
 */
export function runPython<T>(code: string, input: unknown = null, interpreter = peer): T {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-python-'));
  try {
    let count = 0;
    const encode = (value: unknown): unknown => {
      if (value instanceof Tensor) {
        const file = `input${count++}`;
        writeFileSync(join(folder, file), value.toTypedArray());
        return { $tensor: { file, dtype: value.dtype, shape: value.shape } } satisfies TensorFile;
      }
      if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Float64Array);
      if (Array.isArray(value)) return value.map(encode);
      if (value !== null && typeof value === 'object') {
        return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]));
      }
      return value;
    };
    const decode = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(decode);
      if (value === null || typeof value !== 'object') return value;
      if ('$tensor' in value) return readTensor(folder, value as TensorFile);
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
    };
    writeFileSync(join(folder, 'input.json'), JSON.stringify(encode(input)));
    writeFileSync(join(folder, 'snippet.py'), indent(code));
    const { status, stdout, stderr, error } = python(interpreter, ['-', folder], wrapper);
    if (stdout) process.stderr.write(stdout);
    if (status !== 0) throw new Error(`Python failed: ${error?.message ?? stderr}`);
    return decode(JSON.parse(readFileSync(join(folder, 'output.json'), 'utf8'))) as T;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readTensor(folder: string, { $tensor: { file, dtype, shape } }: TensorFile): Tensor {
  const bytes = readFileSync(join(folder, file));
  const { buffer } = new Uint8Array(bytes);
  switch (dtype) {
    case 'float32':
      return tensor(new Float32Array(buffer), { shape });
    case 'float64':
      return tensor(new Float64Array(buffer), { shape });
    case 'int64':
      return tensor(new BigInt64Array(buffer), { shape });
    case 'int32':
      return tensor(new Int32Array(buffer), { shape });
    case 'uint8':
    case 'bool':
      return tensor(new Uint8Array(buffer), { shape, dtype });
    default:
      throw new Error(`runPython cannot bring back a tensor of dtype ${dtype}: convert it in the snippet`);
  }
}
