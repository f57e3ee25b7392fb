import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { UserError } from '@conquer-dml/run';

/**
 * The text of a file of UTF-8, a byte order mark taken off.
 *
 * @param file as messages name it
 * @throws UserError for what is not UTF-8, with the line and what it seems to be
 */
export function decodeText(bytes: Uint8Array, file: string): string {
  const starts = (...mark: number[]) => mark.every((byte, i) => bytes[i] === byte);
  const lineOf = (position: number) => bytes.subarray(0, position).filter((byte) => byte === 10).length + 1;
  if (starts(0xff, 0xfe) || starts(0xfe, 0xff))
    throw new UserError(`${file}: expected UTF-8, it is in UTF-16; save it as UTF-8`);
  const zero = bytes.indexOf(0);
  if (zero >= 0) {
    throw new UserError(
      `${file}, line ${lineOf(zero)}: expected UTF-8, got a zero byte, as UTF-16 and UTF-32 have; save it as UTF-8`,
    );
  }
  if (!isUtf8(bytes)) {
    const position = firstNotUtf8(bytes);
    const byte = (bytes[position] ?? 0).toString(16).padStart(2, '0');
    throw new UserError(
      `${file}, line ${lineOf(position)}: expected UTF-8, got the byte 0x${byte}, as Latin-1 or Windows code pages have; save it as UTF-8`,
    );
  }
  return new TextDecoder().decode(bytes);
}

/**
 * The same of a file that means its lines.
 *
 * @throws UserError also where they end in CR alone
 */
export function decodeLines(bytes: Uint8Array, file: string): string {
  const text = decodeText(bytes, file);
  const end = text.indexOf('\r');
  if (end >= 0 && end < text.length - 1 && !text.includes('\n'))
    throw new UserError(
      `${file}: its lines end in CR alone, as on old Macs; save it with line ends of LF or CRLF`,
    );
  return text;
}

/**
 * The same of a file on the disk.
 *
 * @param expected what it should be, in words
 */
export async function readTextFile(file: string, expected: string): Promise<string> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file}: expected ${expected}, but it cannot be read (${error.code})`);
  });
  return decodeLines(bytes, file);
}

/** Where the first byte stands that begins no character of UTF-8. */
function firstNotUtf8(bytes: Uint8Array): number {
  // A beginning may end in the middle of a character, of 4 bytes at most.
  const good = (end: number) =>
    [0, 1, 2, 3].some((less) => isUtf8(bytes.subarray(0, Math.max(0, end - less))));
  let [from, to] = [0, bytes.length];
  while (to - from > 1) {
    const middle = (from + to) >>> 1;
    if (good(middle)) from = middle;
    else to = middle;
  }
  let position = to;
  while (position > 0 && !isUtf8(bytes.subarray(0, position))) position--;
  return position;
}
