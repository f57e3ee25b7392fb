import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { beforeAll, expect, test } from 'vitest';
import { documents, tablesOf, withTables } from './docs-tables.mjs';
import { experimentLibrary, fromSource } from './experiment-library.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const text = (file) => readFileSync(join(ROOT, file), 'utf8');

let library;
let flags;
let old;
beforeAll(async () => {
  library = await experimentLibrary(fromSource);
  const { commands } = await fromSource('cli/commands/commands');
  const program = new Command('conquer');
  for (const command of Object.values(commands)) await (await command()).add(program, []);
  const own = program.commands.flatMap(({ options }) => options.map(({ long }) => long));
  flags = new Set([...own, '--help', '--help-all', '--version']);
  const { dcesmlFlags, dcesmlSwitches } = await fromSource('cli/dcesml-flags');
  old = Object.keys({ ...dcesmlFlags, ...dcesmlSwitches }).map((name) => `--${name}`);
}, 60_000);

test.each(documents())('%s: its tables are those of the program', (file) => {
  expect(withTables(text(file), tablesOf(library)), 'npm run docs:tables -- --write').toBe(text(file));
});

/** Flags of other programs, where their names stand in the same line. */
const others =
  /\b(npm|torchrun|srun|npx vitest|node scripts|node bench|git|pip|python train\.py|tensorboard --logdir|ssh|curl|codesign|peer at)\b/;

test.each(documents())('%s: every flag is one of the program', (file) => {
  const known = (name) => flags.has(name) || (file === 'docs/migrating.md' && old.includes(name));
  const unknown = text(file)
    .split('\n')
    .filter((line) => !others.test(line))
    .flatMap((line) => [...line.matchAll(/(?<![\w-])--[a-z][a-z0-9-]+/g)].map(([flag]) => flag))
    .filter((flag) => !known(flag));
  expect([...new Set(unknown)]).toEqual([]);
});

test.each(documents())('%s: its experiments can be resolved', async (file) => {
  const { resolveExperiment } = await fromSource('experiment/resolve');
  for (const [, json] of text(file).matchAll(/```json\n([\s\S]*?)```/g)) {
    const {
      $schema: _,
      about: __,
      extends: ___,
      published: ____,
      format: _____,
      ...experiment
    } = JSON.parse(json);
    expect(resolveExperiment(experiment)).toMatchObject(experiment);
  }
});

test.each(documents())('%s: its links lead somewhere', (file) => {
  const gone = [...text(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]+)?\)/g)]
    .map(([, path, anchor]) => ({ path: join(ROOT, dirname(file), path), anchor }))
    .filter(({ path, anchor }) => !existsSync(path) || (anchor && !anchorsOf(path).includes(anchor)));
  expect(gone).toEqual([]);
});

/** As GitHub makes them of headings. */
const anchorsOf = (path) =>
  [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(
    ([, heading]) =>
      `#${heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-')}`,
  );

/** All words of the packages' and examples' sources, and of what they use. */
function words() {
  const found = new Set();
  for (const folder of ['packages', 'scripts', 'examples', 'bench']) {
    for (const path of readdirSync(join(ROOT, folder), { recursive: true })) {
      if (!/\.(ts|mjs|cc|h|svelte|json)$/.test(path) || /node_modules|\b(dist|build)\b/.test(path)) continue;
      if (path.includes('fixtures') || !statSync(join(ROOT, folder, path)).isFile()) continue;
      if (path.endsWith('.test.mjs')) continue;
      for (const [word] of text(join(folder, path)).matchAll(/[A-Za-z_]\w*/g)) found.add(word);
    }
  }
  return found;
}

/** Names of others: what docs say of PyTorch, pip and the like. */
const foreign = new Set(['set_crc32_options', 'VehicleID_V1.0', 'mAP_c']);

test('names in the docs that look like code are in the sources', () => {
  const known = words();
  const wrong = documents()
    .filter((file) => file !== 'docs/migrating.md')
    .flatMap((file) =>
      [
        ...text(file)
          .replaceAll(/```[\s\S]*?```/g, '')
          .matchAll(/`([A-Za-z_][\w.]*)(\([^`]*\))?`/g),
      ]
        .filter(
          ([, name]) => !foreign.has(name) && !/\.(ts|js|json|jsonl|pth|safetensors|md|csv|txt)$/.test(name),
        )
        .filter(([, name, call]) => call !== undefined || /[a-z][A-Z]/.test(name))
        .filter(([, name]) => !name.split('.').every((part) => known.has(part)))
        .map(([code]) => `${file}: ${code}`),
    );
  expect(wrong).toEqual([]);
});

test.each(documents())('%s: code that names its file is in that file', (file) => {
  const missing = [];
  for (const [, path, code] of text(file).matchAll(
    /```ts\n\/\/ ((?:packages|examples)\/\S+)\n([\s\S]*?)```/g,
  )) {
    const lines = new Set(
      text(path)
        .split('\n')
        .map((line) => line.trim()),
    );
    missing.push(...code.split('\n').filter((line) => line.trim() !== '' && !lines.has(line.trim())));
  }
  expect(missing).toEqual([]);
});
