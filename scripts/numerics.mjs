// How far the features of each family are from timm's and transformers', as a table: node scripts/numerics.mjs [FOLDER], after npm run
// build. Of the small networks among the golden numbers of a folder, or of the tests' own; the worst row of their own size and of others, as a share of the row's length.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDER = process.argv[2] ?? join(ROOT, 'packages/conquer/test/fixtures/golden');
const { goldenFiles } = await import(join(ROOT, 'packages/conquer/dist/golden/files.js'));

const FILES = {
  'backbones-timm.json': 'timm',
  'backbones-hf.json': 'transformers',
  'backbones-hub-hashed.json': 'transformers',
};

const sizesOf = ({ outputs }) => outputs.map(({ size }) => size.join('×'));
console.log(
  '| family | of | sizes; the first is its own | float64 | float32 |\n| --- | --- | --- | --- | --- |',
);
for (const [file, library] of Object.entries(FILES)) {
  if (!existsSync(join(FOLDER, file))) continue;
  for (const item of JSON.parse(readFileSync(join(FOLDER, file), 'utf8'))) {
    const errors = [];
    for (const dtype of ['float64', 'float32']) {
      const sizes = [];
      for (const output of item.outputs) {
        // Nothing but features: pixels and counts of numbers are tested elsewhere.
        const { worst, notYet } = await goldenFiles[file](
          [{ ...item, outputs: [output], preprocessing: undefined }],
          { dtype, device: 'cpu' },
          FOLDER,
        );
        sizes.push(notYet.size > 0 ? 'not read' : worst.toExponential(0));
      }
      errors.push(sizes.join(', '));
    }
    const family = item.family.replace(/^transformers' /, '').replaceAll(/[{}"]/g, '');
    console.log(`| ${family} | ${library} | ${sizesOf(item).join(', ')} | ${errors.join(' | ')} |`);
  }
}
