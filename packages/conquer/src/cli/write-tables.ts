import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupMeans } from '../evaluate/group-means.js';
import type { DistancesOfPairs } from '../evaluate/metric.js';
import type { EvaluationTables } from '../train/evaluation-tables.js';

type Row = readonly (string | number)[];

/** Writes what there is of tables as CSV files into a folder, which is made. @returns their names */
export function writeTables(folder: string, tables: EvaluationTables): string[] {
  const { classes, categories, distances, roc } = tables;
  const all: [name: string, rows: readonly Row[] | null][] = [
    ['classes.csv', classes && groups('class', classes)],
    ['categories.csv', categories && groups('category', categories)],
    ['distances.csv', distances && histogram(distances)],
    [
      'roc.csv',
      roc && [
        ['distance', 'falseMatch', 'trueMatch'],
        ...roc.map(({ distance, falseMatch, trueMatch }) => [distance, falseMatch, trueMatch]),
      ],
    ],
  ];
  mkdirSync(folder, { recursive: true });
  return all.flatMap(([name, rows]) => {
    if (rows === null) return [];
    writeFileSync(join(folder, name), rows.map((row) => `${row.map(cell).join(',')}\n`).join(''));
    return [name];
  });
}

function groups(what: string, found: readonly GroupMeans[]): Row[] {
  const names = [...new Set(found.flatMap(({ means }) => Object.keys(means)))];
  return [
    [what, 'queries', ...names],
    ...found.map(({ group, queries, means }) => [group, queries, ...names.map((name) => means[name] ?? '')]),
  ];
}

function histogram({ edges, same, different }: DistancesOfPairs): Row[] {
  const bins = same.histogram.map(
    (count, bin): Row => [edges[bin]!, edges[bin + 1]!, count, different.histogram[bin]!],
  );
  return [['from', 'to', 'same', 'different'], ...bins];
}

/** As RFC 4180 has it. */
const cell = (value: string | number) =>
  typeof value === 'string' && /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : String(value);
