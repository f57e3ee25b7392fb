import { UserError } from '@conquer-dml/run';

/** A line of a CSV file: its cells, without blanks around them, and where it begins, from line 1. */
export interface CsvRow {
  cells: string[];
  line: number;
}

/**
 * RFC 4180: cells apart by commas; in a quoted cell commas, line breaks and doubled quotes stand for themselves. Blanks
 * around a quoted cell are allowed; rows of empty cells are passed over.
 *
 * @param file as messages name it
 * @throws UserError where it is none
 */
export const parseCsv = (text: string, file: string): CsvRow[] => [...csvRows(text, file)];

/** The same row by row, for what keeps none of them: of a million rows, they are more than what they say. */
export function* csvRows(text: string, file: string): Generator<CsvRow> {
  const token = /(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|([^",\r\n]*))(,|\r?\n|$)/y;
  let cells: string[] = [];
  let [line, start] = [1, 1];
  // A line that ends before the next of these is parted by its commas alone.
  let special = nextOf(text, /["\r]/g, 0);
  while (token.lastIndex < text.length) {
    const from = token.lastIndex;
    const feed = text.indexOf('\n', from);
    if (special < from) special = nextOf(text, /["\r]/g, from);
    if (cells.length === 0 && feed >= 0 && feed < special) {
      cells = text.slice(from, feed).split(',');
      for (let i = 0; i < cells.length; i++) cells[i] = cells[i]!.trim();
      token.lastIndex = feed + 1;
      line++;
    } else {
      const found = token.exec(text);
      if (!found) throw new UserError(`${file}, line ${line}: ${problemOf(text.slice(from))}`);
      const [whole, quoted, plain = '', end] = found;
      cells.push((quoted?.replaceAll('""', '"') ?? plain).trim());
      line += whole.split('\n').length - 1;
      const atEnd = token.lastIndex >= text.length;
      if (end === ',' && !atEnd) continue;
      if (end === ',') cells.push('');
    }
    if (cells.some((cell) => cell !== '')) yield { cells, line: start };
    cells = [];
    start = line;
  }
}

/** Where a pattern is found next; at infinity where it is not. */
function nextOf(text: string, pattern: RegExp, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? Infinity;
}

/** What to add to an error about a line whose cells a spreadsheet has parted otherwise, so that they are one; else nothing. */
export function partedOtherwise({ cells: [cell = '', ...others] }: CsvRow): string {
  const separator = others.length === 0 ? [';', '\t', '|'].find((one) => cell.includes(one)) : undefined;
  const names: Record<string, string> = { ';': 'semicolons', '\t': 'tabs', '|': 'bars' };
  return separator ? `; its cells seem to be apart by ${names[separator]}: save it with commas` : '';
}

/** Why no cell can be read here. */
function problemOf(rest: string): string {
  return /^[^",\n]*\r/.test(rest)
    ? 'a carriage return (CR) stands without a line feed; end lines with LF or CRLF'
    : 'a quotation mark is out of place or never closed';
}
