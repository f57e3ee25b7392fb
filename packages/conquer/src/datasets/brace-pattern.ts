import { UserError } from '@conquer-dml/run';

/** More than anybody lists: a slip in a pattern shall not fill the memory. */
const MOST = 1_000_000;

/**
 * The texts that a pattern with braces stands for, as a shell and webdataset have it: `{a,b}`, `{0000..0099}` (numbers of one
 * width where the first or last is written with zeros in front), several of them and within each other.
 *
 * @throws UserError for a brace that is not closed, or more texts than a million
 */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const { choices, end } = choicesIn(pattern, open);
  const before = pattern.slice(0, open);
  const rest = expandBraces(pattern.slice(end));
  const first = choices.flatMap((choice) => numbersOf(choice, pattern) ?? expandBraces(choice));
  if (first.length * rest.length > MOST)
    throw new UserError(`${pattern}: expected at most ${MOST} files, the pattern stands for more`);
  return first.flatMap((text) => rest.map((after) => before + text + after));
}

/** What stands between commas in the braces that open there, and the place behind them. */
function choicesIn(pattern: string, open: number): { choices: string[]; end: number } {
  const choices = [''];
  let depth = 0;
  for (let at = open + 1; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === '}' && depth === 0) return { choices, end: at + 1 };
    if (character === '{') depth++;
    if (character === '}') depth--;
    if (character === ',' && depth === 0) choices.push('');
    else choices[choices.length - 1] += character;
  }
  throw new UserError(`${pattern}: expected each { to be closed by }`);
}

/** The numbers of `0000..0099`, or null for another text. */
function numbersOf(choice: string, pattern: string): string[] | null {
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(choice) ?? [];
  if (first === undefined || last === undefined) return null;
  const [from, to] = [Number(first), Number(last)];
  if (Math.abs(to - from) >= MOST)
    throw new UserError(`${pattern}: expected at most ${MOST} files, the pattern stands for more`);
  const isPadded = [first, last].some((text) => text.length > 1 && text.startsWith('0'));
  const width = isPadded ? Math.max(first.length, last.length) : 0;
  const step = from <= to ? 1 : -1;
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, i) =>
    String(from + step * i).padStart(width, '0'),
  );
}
