import type { Metrics } from '@conquer/run';
import Table from 'cli-table3';

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

/** Metrics that are no fractions. */
const PLAIN = new Set(['rho', 'intra', 'inter']);

/** A table for people: a row a result, a column a metric, in per cent; rho and distances as they are. */
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
      ...names.map((key) => {
        const value = metrics[key];
        if (value === undefined) return '';
        return PLAIN.has(key) ? value.toFixed(4) : (100 * value).toFixed(2);
      }),
    ]);
  }
  return table.toString();
}
