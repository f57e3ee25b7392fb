import type { Metrics } from '@conquer-dml/run';
import Table from 'cli-table3';
import type { Metric } from '../evaluate/metric.js';
import { metricNamed } from '../evaluate/metrics.js';

/** A row of metrics under a name, such as 'before training'. */
export interface ResultRow {
  name: string;
  metrics: Metrics;
}

export interface ResultsTableOptions {
  /**
   * Show what the authors' code reports too (mARP in MAP@R's place), beside what is published in it or under `compat: 'dcesml'`.
   * Else it is in the files only: it is always higher, and not comparable.
   */
  compat?: boolean;
}

const metricOf = (name: string): Metric | undefined => metricNamed(name)?.metric;

/** Whether it is the standard error of another, beside which it stands. */
const isError = (name: string) => name.endsWith(' SE');

/** A table for people: a row a result, a column a metric (± its standard error), fractions in per cent, the rest as they are. */
export function resultsTable(
  rows: readonly ResultRow[],
  { compat = false }: ResultsTableOptions = {},
): string {
  const names = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))].filter(
    (name) => !isError(name) && (compat || metricOf(name)?.compat === undefined),
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
        if (metricOf(key)?.shown === 'plain') return value.toFixed(4);
        const error = metrics[`${key} SE`];
        return (100 * value).toFixed(2) + (error === undefined ? '' : ` ± ${(100 * error).toFixed(2)}`);
      }),
    ]);
  }
  return table.toString();
}
