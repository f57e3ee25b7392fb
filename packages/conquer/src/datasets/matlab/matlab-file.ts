import { inflateSync } from 'node:zlib';
import { dataType, ElementReader } from './element-reader.js';
import { MatlabError } from './matlab-error.js';
import type { MatlabValue } from './matlab-value.js';
import { readMatrix } from './matrix.js';

const HEADER = 128;

/** What a file may hold, compressed or not. Annotations have a few MB; more looks made to exhaust memory. */
export const mostMatlabBytes = 64 * 2 ** 20;

/**
 * The variables of a MATLAB v5 file ("MAT-file level 5", what MATLAB 5 to 7 and `save -v7` write), by name.
 * Raw and compressed, of either byte order: numeric, char, cell and struct arrays; others are named, not read.
 *
 * The format is described in MathWorks' "MAT-File Format" (matfile_format.pdf).
 * @throws MatlabError if the file is another one, damaged, or holds more than 64 MiB
 */
export function parseMatlab(bytes: Uint8Array): Map<string, MatlabValue> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const littleEndian = byteOrder(view);
  checkSize(bytes.byteLength);
  const reader = new ElementReader(
    new DataView(bytes.buffer, bytes.byteOffset + HEADER, bytes.byteLength - HEADER),
    littleEndian,
  );
  const variables = new Map<string, MatlabValue>();
  let inflated = 0;
  while (reader.remaining > 0) {
    const what = `variable ${variables.size + 1}`;
    let element = reader.next(what);
    if (element.type === dataType.compressed) {
      const data = inflate(element.data, mostMatlabBytes - inflated, what);
      inflated += data.byteLength;
      element = new ElementReader(data, littleEndian).next(what);
    }
    if (element.type !== dataType.matrix)
      throw new MatlabError(`${what} has type ${element.type}, expected an array`);
    const { name, value } = readMatrix(element.data, littleEndian);
    variables.set(name, value);
  }
  return variables;
}

/** Checks the header. Whether numbers are little-endian. */
function byteOrder(view: DataView): boolean {
  const hdf5 = view.byteLength >= 8 && view.getUint32(0) === 0x89484446;
  const order = view.byteLength < HEADER ? '' : String.fromCharCode(view.getUint8(126), view.getUint8(127));
  if (!hdf5 && order !== 'IM' && order !== 'MI')
    throw new MatlabError('it does not begin like a MATLAB v5 file');
  const littleEndian = order === 'IM';
  const version = hdf5 ? 0x200 : view.getUint16(124, littleEndian);
  if (version === 0x200)
    throw new MatlabError('it is a MATLAB 7.3 file (HDF5), expected v5: save it with -v7');
  if (version !== 0x100)
    throw new MatlabError(`it has version 0x${version.toString(16)} of the MATLAB format, expected 0x100`);
  return littleEndian;
}

function inflate(data: DataView, most: number, what: string): DataView {
  try {
    const bytes = inflateSync(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), {
      maxOutputLength: Math.max(1, most),
    });
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') checkSize(mostMatlabBytes + 1);
    throw new MatlabError(`${what} cannot be decompressed (${message})`);
  }
}

function checkSize(bytes: number): void {
  if (bytes > mostMatlabBytes)
    throw new MatlabError('it holds more than 64 MiB, which is not what such files hold');
}
