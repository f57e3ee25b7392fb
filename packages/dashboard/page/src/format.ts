import type { Settings } from '@conquer-dml/run';
import type { RunStatus } from '../../src/api.js';

const SPACE = '\u00a0';

/** 0.2345 as '23.5 %', as the terminal says it. */
export const percent = (value: number | null | undefined): string =>
  typeof value === 'number' ? `${(100 * value).toFixed(1)}${SPACE}%` : '–';

export const count = (value: number): string => value.toLocaleString('en');

/** '1 image', '2,000 images'. */
export const counted = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)}${SPACE}${n === 1 ? one : many}`;

/** Four significant digits, small ones by powers of ten. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace(/\.?0+e/, 'e');
  return String(Number(value.toPrecision(4)));
}

/** Epochs count from 0 in the files and from 1 for people; -1 is before training. */
export const epochName = (epoch: number): string => (epoch < 0 ? 'before training' : `epoch ${epoch + 1}`);

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}${SPACE}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes}${SPACE}min`;
  return `${Math.floor(minutes / 60)}${SPACE}h ${minutes % 60}${SPACE}min`;
}

/** How long ago, of milliseconds since 1970. */
export function ago(then: number, now: number): string {
  const seconds = Math.max(0, (now - then) / 1000);
  if (seconds < 60) return 'just now';
  if (seconds < 86_400) return `${duration(seconds)} ago`;
  const days = Math.round(seconds / 86_400);
  return days < 30
    ? `${days}${SPACE}${days === 1 ? 'day' : 'days'} ago`
    : new Date(then).toISOString().slice(0, 10);
}

export const setting = (value: Settings[string] | undefined): string =>
  value === null || value === undefined || value === '' ? '–' : String(value);

export const STATUS_SIGNS: Record<RunStatus, string> = {
  running: '▶',
  finished: '✓',
  stopped: '■',
  'cut off': '✂',
  damaged: '⚠',
  index: '⌕',
};

/** Of test images that could not be read. */
export const leftOut = (n: number): string =>
  `${counted(n, 'test image')} could not be read and ${n === 1 ? 'is' : 'are'} in none of the numbers and views.`;
