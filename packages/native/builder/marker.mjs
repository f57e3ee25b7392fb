// What a binding was built against stands inside it, as a string that is read without loading it.
import { readFileSync } from 'node:fs';

/**
 * @typedef {object} Marker
 * @property {string} addon such as "conquer_torch"
 * @property {string} conquer version of the package whose sources it was built of
 * @property {string} library "libtorch" or "libjpeg-turbo"
 * @property {string} version of the library
 * @property {string | null} buildId of its file, see build-id.mjs; null where it has none
 * @property {string} soname name of that file, links followed
 * @property {boolean} cuda
 * @property {string | null} libDir its folder; null: "lib" beside the binding, wherever that is
 */

const START = 'conquer-binding {';

/** C++ that puts a marker into the addon that it is linked into. @param {Marker} marker */
export function markerSource(marker) {
  const text = JSON.stringify(`${START.slice(0, -1)}${JSON.stringify(marker)}`);
  return `extern "C" __attribute__((used)) const char conquer_binding[] = ${text};\n`;
}

/** @returns {Marker | null} null of a file that is no binding of conquer's */
export function readMarker(file) {
  const bytes = readFileSync(file);
  const start = bytes.indexOf(START);
  const end = bytes.indexOf(0, start);
  if (start < 0 || end < 0) return null;
  try {
    return JSON.parse(bytes.toString('utf8', start + START.length - 1, end));
  } catch {
    return null;
  }
}
