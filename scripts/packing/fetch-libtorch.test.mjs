import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, test } from 'vitest';

const UNPACK = fileURLToPath(new URL('unpack-wheel.py', import.meta.url));

/** Unpacks a wheel of these files. @returns what was printed, and the files that came out */
function unpacked(files) {
  const folder = temporaryFolder();
  const program = [
    'import json, sys, zipfile',
    'with zipfile.ZipFile(sys.argv[1], "w") as wheel:',
    '  for name, text in json.loads(sys.argv[2]).items(): wheel.writestr(name, text)',
  ].join('\n');
  const wheel = join(folder, 'torch-2.13.0-cp311-none-any.whl');
  execFileSync('python3', ['-c', program, wheel, JSON.stringify(files)]);
  const into = join(folder, 'libtorch');
  const printed = execFileSync('python3', [UNPACK, folder, into], { encoding: 'utf8' }).trim();
  mkdirSync(into, { recursive: true });
  const entries = readdirSync(into, { recursive: true, withFileTypes: true });
  const out = entries.filter((entry) => entry.isFile());
  return {
    printed,
    files: out.map((entry) => join(entry.parentPath, entry.name).slice(into.length + 1)).sort(),
  };
}

const VERSION = "__version__ = '2.13.0'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n";
const CPU = {
  'torch/version.py': VERSION,
  'torch/nn/modules/linear.py': '',
  'torch/include/torch/csrc/inductor/aoti_runtime/utils_cuda.h': '',
  'torch/lib/libc10.so': '',
  'torch/lib/libgomp-a34b3233.so.1': '',
  'torch/lib/libtorch_cpu.so': '',
  'torch/lib/libtorch_python.so': '',
  'torch-2.13.0.dist-info/licenses/LICENSE': '',
};

test('of a CPU wheel comes what programs link, run and owe', () => {
  expect(unpacked(CPU)).toEqual({
    printed: '',
    files: [
      'include/torch/csrc/inductor/aoti_runtime/utils_cuda.h',
      'lib/libc10.so',
      'lib/libgomp-a34b3233.so.1',
      'lib/libtorch_cpu.so',
      'licenses/LICENSE',
    ],
  });
});

test('a build for CUDA is told by what is in it, and nothing of it is unpacked', () => {
  expect(unpacked({ ...CPU, 'torch/lib/libtorch_cuda.so': '' })).toEqual({ printed: 'cuda', files: [] });
  const version = VERSION.replace('cuda: Optional[str] = None', "cuda: Optional[str] = '13.0'");
  expect(unpacked({ ...CPU, 'torch/version.py': version })).toEqual({ printed: 'cuda', files: [] });
});
