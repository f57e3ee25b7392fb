import { UserError } from '@conquer-dml/run';
import { type CsvRow, parseCsv, partedOtherwise } from './csv-rows.js';
import { readTextFile } from './text-file.js';

/** What a line says of two images. */
export interface ListedPair {
  /** Paths as they are written; where files have been looked at, absolute ones. */
  first: string;
  second: string;
  same: boolean;
  /** null: the file does not say. */
  split: 'train' | 'test' | null;
  line: number;
}

const columns = ['first', 'second', 'same', 'split'] as const;

const answers: Record<string, boolean> = {
  ...{ same: true, 1: true, yes: true, true: true },
  ...{ different: false, 0: false, no: false, false: false },
};

/**
 * The pairs that a CSV file lists: `first,second,same[,split]`, or in the order that a first line of these names has. What is the
 * same says `same` or `different` (1 or 0, yes or no, true or false).
 *
 * @throws UserError for a line that is none, with its number, and for a file without any
 */
export async function readPairs(file: string): Promise<ListedPair[]> {
  const rows = parseCsv(await readTextFile(file, 'a CSV file'), file);
  const [head, ...others] = rows;
  if (head === undefined) throw new UserError(`${file}: expected pairs first,second,same, found no line`);
  const names = head.cells.map((cell) => cell.toLowerCase());
  // The name of a column is no answer, and no file either where it stands as it is here.
  const isHead = names.includes('first') || names.includes('second');
  const order = isHead ? columnsOf(names, head, file) : columns.map((_, at) => at);
  const lines = isHead ? others : rows;
  const width = isHead ? names.length : columns.length;
  const found = lines.map((row) => pairOf(row, order, width, file));
  if (found.length === 0) throw new UserError(`${file}: expected pairs first,second,same, found no line`);
  const said = found.findIndex(({ split }) => (split === null) !== (found[0]!.split === null));
  if (said >= 0)
    throw new UserError(
      `${file}, line ${found[said]!.line}: expected train or test in each line or in none, got ${found[said]!.split ?? 'nothing'}`,
    );
  return found;
}

/** Where each column is; -1: nowhere. */
function columnsOf(names: readonly string[], { line }: CsvRow, file: string): number[] {
  const wrong = names.find(
    (name, at) => !columns.some((column) => column === name) || names.indexOf(name) < at,
  );
  const missing = columns.slice(0, 3).find((column) => !names.includes(column));
  if (wrong === undefined && missing === undefined) return columns.map((column) => names.indexOf(column));
  throw new UserError(
    `${file}, line ${line}: expected the columns first, second, same and perhaps split, each once, ${wrong === undefined ? `${missing} is missing` : `got ${JSON.stringify(wrong)}`}`,
  );
}

function pairOf(row: CsvRow, order: readonly number[], width: number, file: string): ListedPair {
  const { cells, line } = row;
  const [first = '', second = '', same = '', split = ''] = order.map((at) => cells[at] ?? '');
  const unexpected = (what: string, got: string, hint = '') =>
    new UserError(`${file}, line ${line}: expected ${what}, got ${JSON.stringify(got)}${hint}`);
  if (first === '' || second === '' || cells.slice(width).some((cell) => cell !== ''))
    throw unexpected('first,second,same[,train|test]', cells.join(','), partedOtherwise(row));
  const answer = answers[same.toLowerCase()];
  if (answer === undefined) throw unexpected('same or different (or 1 or 0) as same', same);
  const part = split.toLowerCase();
  if (part !== '' && part !== 'train' && part !== 'test') throw unexpected('train or test as split', split);
  return { first, second, same: answer, split: part === '' ? null : part, line };
}
