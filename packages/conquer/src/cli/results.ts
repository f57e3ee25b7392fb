import Table from 'cli-table3';
import type { Metrics } from '../evaluate/evaluate.js';

/** A row of metrics under a name, such as 'before training'. */
export interface ResultRow {
  name: string;
  metrics: Metrics;
}

export interface ResultsTableOptions {
  /**
   * Show mARP, what the authors' code reports in MAP@R's place, beside what is published in it or under
   * `--compat dcesml`. Else it is in the files only: it is always higher, and not comparable with MAP@R.
   */
  marp?: boolean;
}

/** A table for people: a row a result, a column a metric, in per cent. */
export function resultsTable(rows: readonly ResultRow[], { marp = false }: ResultsTableOptions = {}): string {
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))].filter(
    (name) => marp || name !== 'mARP',
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
