import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { flagsOf } from '../cli/flags.js';
import { builtInParts } from '../experiment/experiment.js';

// An option has one name, its path in the experiment. Flags are the command line's, and what config.json called it before is
// known to who reads that.

const packages = fileURLToPath(new URL('../../../', import.meta.url));
const roots = ['torch', 'image', 'native', 'run', 'conquer', 'dashboard'].map((name) =>
  join(packages, name, 'src'),
);
const page = join(packages, 'dashboard', 'page', 'src');

/** Who may: the command line, its tests and others, and the readers of what earlier versions wrote. */
const may = [
  /\/conquer\/src\/(cli|testing|golden)\//,
  /\.test\.ts$/,
  /\/run\/src\/experiment\/(command-line|library)-dialect\.ts$/,
];

const files = [...roots, page].flatMap((root) => {
  let names: string[];
  try {
    names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  } catch {
    return []; // a package of C++ only
  }
  return names
    .filter((name) => /\.(ts|svelte)$/.test(name))
    .map((name) => join(root, name).replaceAll(sep, '/'))
    .filter((file) => !may.some((pattern) => pattern.test(file)));
});

/** The code of a file without its comments. */
const codeOf = (file: string) =>
  readFileSync(file, 'utf8')
    .replaceAll(/\/\*.*?\*\/|<!--.*?-->|<style.*?<\/style>/gs, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '');

/** The lines of all these files that a pattern is in, as `file: line`. */
const linesWith = (pattern: RegExp) =>
  files.flatMap((file) =>
    codeOf(file)
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => `${file.slice(packages.length)}: ${line.trim()}`),
  );

describe('outside of the command line', () => {
  it('there is much', () => expect(files.length).toBeGreaterThan(300));

  it('nobody names a flag', () => {
    // `i--` is none, nor are CSS variables, which are the page's.
    const named = linesWith(/['"`( ]--[a-z]/).filter((line) => !line.startsWith('dashboard/page/'));
    expect(named).toEqual([]);
  });

  it('nobody knows a setting by the name that it has on the command line', () => {
    const names = flagsOf(builtInParts)
      .map(({ name }) => name)
      .filter((name) => name.includes('-'));
    expect(names.length).toBeGreaterThan(60);
    expect(linesWith(new RegExp(`(['"\`])(${names.join('|')})\\1`))).toEqual([]);
  });
});
