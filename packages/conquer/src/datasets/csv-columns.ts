import { type Crop, imageBoxPath } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import type { CsvRow } from './csv-rows.js';

/** What columns may be called. */
const known = [
  'path',
  'label',
  'labels',
  'category',
  'split',
  'role',
  'query',
  'gallery',
  'x',
  'y',
  'w',
  'h',
] as const;
type Column = (typeof known)[number];

/** What a line says of an image. */
export interface CsvImage {
  /** As it is written, with its box: `a.jpg#xywh=1,2,3,4`. */
  path: string;
  /** All of its labels, in their order. */
  labels: string[];
  /** Of its class; where it is said. */
  category?: string;
  /** In small letters, as the next one; '' where it is not said. */
  split: string;
  role: string;
  row: CsvRow;
}

/**
 * The images that the lines of a CSV file are. A first line of names says which column is which, in any order: `path`; `label`, or
 * `labels` with semicolons between them; `category` of the class; `split`; `role`, or `query` and `gallery` with yes or no (1 or 0, true or false); and `x`, `y`,
 * `w`, `h` of a box. Without one they are path, label, split and role.
 *
 * @param file as messages name it
 * @throws UserError for a column of another name or a cell that cannot be, with its line
 */
export function* csvImages(rows: Iterable<CsvRow>, file: string): Generator<CsvImage> {
  let columns: Map<Column, number> | null = null;
  let isFirst = true;
  for (const row of rows) {
    const names = isFirst ? row.cells.map((cell) => cell.toLowerCase()) : [];
    const isHead = isFirst && names.includes('path');
    if (isFirst && !isHead && isHeadWithoutPath(names))
      throw new UserError(
        `${file}, line ${row.line}: expected a column called path among the names, got ${row.cells.join(', ')}`,
      );
    isFirst = false;
    if (isHead && !isPlain(names)) columns = columnsOf(names, row, file);
    if (!isHead) yield columns ? namedImage(row, columns, file) : plainImage(row);
  }
}

/** `path,label[,split[,…]]`, whose last column may be called anything. */
const isPlain = ([path, label, split, ...rest]: readonly string[]) =>
  path === 'path' &&
  label === 'label' &&
  ['split', '', undefined].includes(split) &&
  rest.length <= 1 &&
  !isKnown(rest[0]);

/** `file,label`: no image, as it has no ending. */
const isHeadWithoutPath = ([first = '', ...others]: readonly string[]) =>
  !first.includes('.') && others.some((name) => name === 'label' || name === 'labels');

const isKnown = (name: string | undefined): name is Column => known.some((column) => column === name);

function plainImage(row: CsvRow): CsvImage {
  const [path = '', label = '', split = '', role = '', ...rest] = row.cells;
  const tooMany = rest.some((cell) => cell !== '') || row.cells.length > 4;
  return {
    path,
    labels: label === '' ? [] : [label],
    split: split.toLowerCase(),
    // No role is called so: the line is refused with what was expected.
    role: tooMany ? row.cells.slice(3).join(',') : role.toLowerCase(),
    row,
  };
}

function columnsOf(names: readonly string[], { line }: CsvRow, file: string): Map<Column, number> {
  const columns = new Map<Column, number>();
  for (const [at, name] of names.entries()) {
    const where = `${file}, line ${line}`;
    if (!isKnown(name))
      throw new UserError(
        `${where}: expected columns called ${known.join(', ')}, got ${JSON.stringify(name)}`,
      );
    if (columns.has(name)) throw new UserError(`${where}: the column ${name} is there twice`);
    columns.set(name, at);
  }
  const together = (some: readonly Column[]) => {
    const missing = some.filter((name) => !columns.has(name));
    if (missing.length > 0 && missing.length < some.length)
      throw new UserError(
        `${file}, line ${line}: expected all of the columns ${some.join(', ')} or none, ${missing.join(', ')} is missing`,
      );
  };
  together(['x', 'y', 'w', 'h']);
  together(['query', 'gallery']);
  for (const [one, other] of [
    ['label', 'labels'],
    ['role', 'query'],
  ] as const)
    if (columns.has(one) && columns.has(other))
      throw new UserError(
        `${file}, line ${line}: expected either the column ${one} or ${other}, got both: they say the same`,
      );
  return columns;
}

function namedImage(row: CsvRow, columns: ReadonlyMap<Column, number>, file: string): CsvImage {
  if (row.cells.length > columns.size)
    throw new UserError(
      `${file}, line ${row.line}: expected ${columns.size} cells, as the first line has, got ${row.cells.length}`,
    );
  const cell = (name: Column) => row.cells[columns.get(name) ?? -1] ?? '';
  const several = cell('labels')
    .split(';')
    .map((label) => label.trim())
    .filter((label) => label !== '');
  const labels = columns.has('labels')
    ? [...new Set(several)]
    : [cell('label')].filter((label) => label !== '');
  const box = csvBox(
    ['x', 'y', 'w', 'h'].map((name) => cell(name as Column)),
    row,
    file,
  );
  const path = cell('path');
  return {
    path: box && path !== '' ? imageBoxPath(path, box) : path,
    labels,
    ...(cell('category') !== '' && { category: cell('category') }),
    split: cell('split').toLowerCase(),
    role: columns.has('query')
      ? roleOf(yes('query', cell('query'), row, file), yes('gallery', cell('gallery'), row, file))
      : cell('role').toLowerCase(),
    row,
  };
}

/** The box of four cells x, y, w and h; null of empty ones: the whole image. @throws UserError with the line, for what is none */
export function csvBox(cells: readonly string[], { line }: CsvRow, file: string): Crop | null {
  if (cells.every((cell) => cell === '')) return null;
  const wrong = (what: string) =>
    new UserError(
      `${file}, line ${line}: expected a box of whole pixels x,y,w,h, ${what}, got ${cells.join(',')}`,
    );
  if (cells.some((cell) => /^\d+\.\d+$/.test(cell))) throw wrong('no fractions of them');
  if (cells.some((cell) => !/^\d{1,9}$/.test(cell))) throw wrong('none below 0');
  const [left, top, width, height] = cells.map(Number) as [number, number, number, number];
  if (width === 0 || height === 0) throw wrong('with w and h of at least 1');
  return { left, top, width, height };
}

const answers: Record<string, boolean> = {
  ...{ yes: true, true: true, 1: true },
  ...{ no: false, false: false, 0: false, '': false },
};

function yes(name: string, cell: string, { line }: CsvRow, file: string): boolean {
  const answer = answers[cell.toLowerCase()];
  if (answer !== undefined) return answer;
  throw new UserError(
    `${file}, line ${line}: expected yes or no (1 or 0, true or false) as ${name}, got ${JSON.stringify(cell)}`,
  );
}

const roleOf = (query: boolean, gallery: boolean) =>
  query ? (gallery ? 'both' : 'query') : gallery ? 'gallery' : '';
