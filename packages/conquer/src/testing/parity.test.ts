import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as library from '../index.js';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const page = read('../../../../docs/parity.md');
const cells = page
  .split('\n')
  .filter((line) => line.startsWith('| `') || /^\| \d/.test(line))
  .map((line) => line.split(' | '));
const named = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);

const types = new Set([...read('../index.ts').matchAll(/\b[A-Z]\w+/g)].map(([name]) => name));
const { model } = library.resolveExperiment({ data: { dataset: { name: 'emoji' } } });
const kinds = { loss: library.builtInParts.losses, miner: library.builtInParts.miners };

it('every name that the page of parity gives as ours is there', () => {
  const ours = [
    ...new Set(cells.filter(([first]) => first!.startsWith('| `')).flatMap((row) => named(row[1]!))),
  ];
  expect(ours.length).toBeGreaterThan(40);
  const missing = ours.filter((name) => {
    const [kind, part] = name.split(' ') as [string, string | undefined];
    if (part !== undefined) return !kinds[kind as keyof typeof kinds].some((one) => one.name === part);
    if (name.startsWith('model.')) return !(name.slice('model.'.length) in model);
    return !(name in library) && !types.has(name);
  });
  expect(missing).toEqual([]);
});

it('every test that it names for a rule is there', () => {
  const rules = cells.filter(([first]) => /^\| \d/.test(first!));
  expect(rules.length).toBe(15);
  const files = rules.flatMap((row) => named(row.at(-1)!));
  expect(files.filter((file) => !existsSync(new URL(`../${file}`, import.meta.url)))).toEqual([]);
});
