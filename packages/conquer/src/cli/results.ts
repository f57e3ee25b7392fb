import Table from 'cli-table3';
import type { Metrics } from '../evaluate/evaluate.js';

/** A row of metrics under a name, such as 'before training'. */
export interface ResultRow {
  name: string;
  metrics: Metrics;
}

const HIDDEN = new Set(['mARP']);

/** A table for people: a row a result, a column a metric, in per cent. mARP is in the files only. */
export function resultsTable(rows: readonly ResultRow[]): string {
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))].filter(
    (name) => !HIDDEN.has(name),
  );
  const table = new Table({
    head: ['', ...names],
    colAligns: ['left', ...names.map(() => 'right' as const)],
    style: { head: [], border: [] },
  });
  for (const { name, metrics } of rows) {
    table.push([
      name,
      ...names.map((key) => (metrics[key] === undefined ? '' : (100 * metrics[key]).toFixed(2))),
    ]);
  }
  return table.toString();
}
