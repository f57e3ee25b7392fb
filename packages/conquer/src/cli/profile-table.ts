import { type EpochProfile, epochParts, stepParts } from '@conquer-dml/run';
import Table from 'cli-table3';

const NAMES: Readonly<Record<string, string>> = { data: 'waiting for data', optimizer: 'optimiser' };

/** Where an epoch's time went: a mean step by its parts, and the epoch by its own, with shares in per cent. */
export function profileTable({ steps, step, epoch }: EpochProfile): string {
  const perStep = Object.fromEntries(
    Object.entries(step).map(([part, seconds]) => [part, (1000 * seconds) / Math.max(steps, 1)]),
  );
  return `${table('ms a step', stepParts, perStep)}\n${table('s an epoch', epochParts, epoch)}`;
}

function table(unit: string, parts: readonly string[], values: Record<string, number>): string {
  const total = parts.reduce((sum, part) => sum + (values[part] ?? 0), 0);
  const all = [...parts.map((part) => values[part] ?? 0), total];
  const drawn = new Table({
    head: ['', ...parts.map((part) => NAMES[part] ?? part), 'all'],
    colAligns: ['left', ...all.map(() => 'right' as const)],
    style: { head: [], border: [] },
  });
  drawn.push([unit, ...all.map((value) => value.toFixed(value < 10 ? 2 : 1))]);
  drawn.push(['%', ...all.map((value) => (total > 0 ? ((100 * value) / total).toFixed(1) : ''))]);
  return drawn.toString();
}
