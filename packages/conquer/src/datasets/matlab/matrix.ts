import { dataType, type Element, ElementReader } from './element-reader.js';
import { MatlabError } from './matlab-error.js';
import { emptyMatlabValue, type MatlabValue } from './matlab-value.js';

const CELL = 1;
const STRUCT = 2;
const CHAR = 4;
const FIRST_NUMERIC = 6;
const LAST_NUMERIC = 15;
const others: Readonly<Record<number, string>> = {
  3: 'object',
  5: 'sparse matrix',
  16: 'function',
  17: 'opaque object',
};

/** Cells in cells, structs in structs: deeper than this is no data. */
const DEEPEST = 64;

/** An array ("miMATRIX"), without its tag: flags, dimensions, name, and what its class asks for. */
export function readMatrix(
  data: DataView,
  littleEndian: boolean,
  depth = 0,
): { name: string; value: MatlabValue } {
  if (data.byteLength === 0) return { name: '', value: emptyMatlabValue };
  if (depth > DEEPEST) throw new MatlabError(`arrays are nested more than ${DEEPEST} deep`);
  const reader = new ElementReader(data, littleEndian);
  const [flags] = reader.numbers(reader.next('the flags of an array'), 'the flags of an array');
  if (flags === undefined) throw new MatlabError('an array has no flags');
  const arrayClass = flags & 0xff;
  if (arrayClass === 17) return { name: '', value: other([], arrayClass) }; // it has no dimensions

  const dims = readDimensions(reader);
  const name = latin1(reader.next('the name of an array'));
  const what = name === '' ? 'an array' : `the array ${JSON.stringify(name)}`;
  const count = dims.reduce((a, b) => a * b, 1);
  if (count > Number.MAX_SAFE_INTEGER) throw new MatlabError(`${what} claims to be ${dims.join('×')}`);

  const value = (): MatlabValue => {
    switch (arrayClass) {
      case CELL:
        return { kind: 'cell', dims, cells: readMatrices(reader, count, what, depth) };
      case STRUCT:
        return { kind: 'struct', dims, fields: readFields(reader, count, what, depth) };
      case CHAR:
        return { kind: 'char', dims, rows: readRows(reader, dims, count, what) };
      default:
        if (arrayClass < FIRST_NUMERIC || arrayClass > LAST_NUMERIC) return other(dims, arrayClass);
        return { kind: 'numeric', dims, values: readNumbers(reader, count, what) };
    }
  };
  return { name, value: value() };
}

function other(dims: number[], arrayClass: number): MatlabValue {
  const className = others[arrayClass];
  if (className === undefined) throw new MatlabError(`an array is of the unknown class ${arrayClass}`);
  return { kind: 'other', dims, className };
}

function readDimensions(reader: ElementReader): number[] {
  const what = 'the dimensions of an array';
  const dims = Array.from(reader.numbers(reader.next(what), what));
  if (dims.length < 2 || dims.length > 32 || !dims.every((dim) => Number.isInteger(dim) && dim >= 0)) {
    throw new MatlabError(
      `expected 2 to 32 dimensions of an array, got ${dims.slice(0, 4).join('×') || 'none'}`,
    );
  }
  return dims;
}

function readNumbers(reader: ElementReader, count: number, what: string): Float64Array {
  const values = reader.numbers(reader.next(what), what);
  if (values.length !== count)
    throw new MatlabError(`${what} has ${values.length} numbers, expected ${count}`);
  return values;
}

function readMatrices(reader: ElementReader, count: number, what: string, depth: number): MatlabValue[] {
  checkCount(reader, count, what);
  const values: MatlabValue[] = [];
  for (let i = 0; i < count; i++) values.push(readElement(reader, what, depth));
  return values;
}

function readFields(
  reader: ElementReader,
  count: number,
  what: string,
  depth: number,
): Map<string, MatlabValue[]> {
  const ofNames = `the field names of ${what}`;
  const [length = 0] = reader.numbers(reader.next(ofNames), ofNames);
  const names = latin1Bytes(reader.next(ofNames));
  if (names.length > 0 && !(length > 0 && names.length % length === 0)) {
    throw new MatlabError(`${ofNames} take ${names.length} bytes, not a multiple of ${length}`);
  }
  const fields = new Map<string, MatlabValue[]>();
  for (let at = 0; at < names.length; at += length) {
    const name = names.slice(at, at + length).replace(/\0.*$/s, '');
    if (fields.has(name)) throw new MatlabError(`${what} has two fields ${JSON.stringify(name)}`);
    fields.set(name, []);
  }
  if (fields.size === 0) return fields;
  checkCount(reader, count * fields.size, what);
  for (let i = 0; i < count; i++) {
    for (const values of fields.values()) values.push(readElement(reader, what, depth));
  }
  return fields;
}

/** Each array has a tag of 8 bytes: no more of them than that are in the file. */
function checkCount(reader: ElementReader, count: number, what: string): void {
  if (count > reader.remaining / 8) throw new MatlabError(`${what} claims ${count} arrays: it is cut short`);
}

function readElement(reader: ElementReader, what: string, depth: number): MatlabValue {
  const element = reader.next(what);
  if (element.type !== dataType.matrix) {
    throw new MatlabError(`${what} holds an element of type ${element.type}, expected an array`);
  }
  return readMatrix(element.data, reader.littleEndian, depth + 1).value;
}

/** Text is written column by column, as UTF-16 units, Latin-1 bytes, or (by newer versions) UTF-8, -16 or -32. */
function readRows(reader: ElementReader, dims: readonly number[], count: number, what: string): string[] {
  if (count === 0) return [];
  const element = reader.next(what);
  const text = decodeText(element, reader.littleEndian, what);
  const numRows = dims[0] ?? 0;
  if (numRows === 1) {
    if (text.length > 0) return [text];
    throw new MatlabError(`${what} has no characters, expected ${count}`);
  }
  // A dimension counts UTF-16 units where MATLAB wrote the file, characters where SciPy did.
  const units = text.length === count ? text.split('') : [...text];
  if (units.length !== count)
    throw new MatlabError(`${what} has ${units.length} characters, expected ${count}`);
  const rows = new Array<string>(numRows).fill('');
  for (const [i, unit] of units.entries()) rows[i % numRows] += unit;
  return rows;
}

function decodeText(element: Element, littleEndian: boolean, what: string): string {
  const { type, data } = element;
  const unitBytes = { [dataType.uint16]: 2, [dataType.utf16]: 2, [dataType.utf32]: 4 }[type] ?? 1;
  if (data.byteLength % unitBytes !== 0)
    throw new MatlabError(`${what} has ${data.byteLength} bytes of text, not a multiple of ${unitBytes}`);
  switch (type) {
    case dataType.int8:
    case dataType.uint8:
      return latin1Bytes(element);
    case dataType.utf8:
      try {
        return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
      } catch {
        throw new MatlabError(`${what} is not UTF-8 as it claims`);
      }
    case dataType.uint16:
    case dataType.utf16:
      return textOf(data, 2, (at) => String.fromCharCode(data.getUint16(at, littleEndian)));
    case dataType.utf32:
      return textOf(data, 4, (at) => {
        const point = data.getUint32(at, littleEndian);
        if (point > 0x10ffff) throw new MatlabError(`${what} has the character ${point}, which is none`);
        return String.fromCodePoint(point);
      });
    default:
      throw new MatlabError(`${what} has data of type ${type}, expected text`);
  }
}

function textOf(data: DataView, bytes: number, unitAt: (at: number) => string): string {
  let text = '';
  for (let at = 0; at < data.byteLength; at += bytes) text += unitAt(at);
  return text;
}

function latin1Bytes({ data }: Element): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
}

/** A name, in ASCII by the format. */
function latin1(element: Element): string {
  return latin1Bytes(element).replace(/\0.*$/s, '');
}
