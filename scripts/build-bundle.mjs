// Puts the modules of conquer, and zod's, together in a few files. Node takes 0.4 ms a module to load it, whatever is in it:
// of conquer's three hundred and zod's one hundred (64 of them languages) that is twice what their code takes.
import { copyFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const DIST = resolve(dirname(fileURLToPath(import.meta.url)), '../packages/conquer/dist');
/** As deep as the modules lie, so that paths from `import.meta.url` lead to the same places. */
const BUNDLE = join(DIST, 'bundle');
const ZOD_LICENSE = fileURLToPath(new URL('../node_modules/zod/LICENSE', import.meta.url));

/** Where a process or thread begins: the library, the program, and the files that threads are given. */
const ENTRIES = {
  index: 'index.js',
  main: 'cli/main.js',
  'training-thread': 'cli/training-thread.js',
  'wandb-worker': 'track/wandb-worker.js',
  'service-thread': 'serve/service-thread.js',
};

/** Other packages stay what they are: there may be but one of each in a process. */
const isOwn = (id) => /^[./]/.test(id) || /^zod(\/|$)/.test(id);

export async function buildBundle() {
  const input = Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, join(DIST, file)]));
  const bundle = await rolldown({ input, platform: 'node', external: (id) => !isOwn(id) });
  const { output } = await bundle.write({
    dir: BUNDLE,
    format: 'esm',
    // Without a hash: a program that runs meanwhile finds the file that it loads late.
    chunkFileNames: '[name].js',
    // Runs keep names of classes.
    keepNames: true,
  });
  await bundle.close();
  copyFileSync(ZOD_LICENSE, join(BUNDLE, 'zod-license.txt'));
  const written = new Set([...output.map(({ fileName }) => fileName), 'zod-license.txt']);
  for (const name of readdirSync(BUNDLE)) if (!written.has(name)) rmSync(join(BUNDLE, name));
}
