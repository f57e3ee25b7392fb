// Writes the reference of the public API from its docstrings to docs/reference/: npm run docs
// typedoc does not run on the TypeScript of this project yet: it has an older one beside it, in scripts/reference/.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'reference');

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: 'inherit' });
  if (error) console.error(error.message);
  if (status !== 0) process.exit(1);
}

run('npm', 'ci', '--no-audit', '--no-fund');
run(join(folder, 'node_modules/.bin/typedoc'), '--options', 'typedoc.json');
