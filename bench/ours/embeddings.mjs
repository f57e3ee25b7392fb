// Reads the raw files that bench/data.mjs makes.
import { readFileSync } from 'node:fs';
import { tensor } from '@conquer-dml/torch';

/** @returns a float32 tensor of the shape in the file's name */
export function readEmbeddings(path) {
  const [, rows, columns] = path.match(/-(\d+)x(\d+)\.f32$/);
  const bytes = readFileSync(path);
  return tensor(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), {
    shape: [Number(rows), Number(columns)],
  });
}

/** @returns {Int32Array} */
export function readLabels(path) {
  const bytes = readFileSync(path);
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
