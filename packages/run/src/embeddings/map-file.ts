import { createHash } from 'node:crypto';
import { DamagedFile, openRegularFile } from '../disk/regular-file.js';
import { SafetensorsFile } from './safetensors-file.js';

export const MAP_FORMAT = 'conquer-map-1';

/** Rows that a fingerprint looks at. */
const FINGERPRINT_ROWS = 1000;

/** A map of embeddings in the plane, as it is kept beside them. */
export interface MapRead {
  /** (N,) each, within −1 to 1. */
  x: Float32Array;
  y: Float32Array;
}

/** Tells embeddings apart, wherever their file was copied to: a hash of their labels and of rows from all over them. */
export function fingerprintOf({ vectors, labels }: { vectors: Float32Array; labels: Int32Array }): string {
  const hash = createHash('sha256').update(bytesOf(labels));
  const dim = vectors.length / labels.length;
  const step = Math.max(1, Math.floor(labels.length / FINGERPRINT_ROWS));
  for (let row = 0; row < labels.length; row += step)
    hash.update(bytesOf(vectors.subarray(row * dim, (row + 1) * dim)));
  return hash.digest('hex');
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * Reads a map that `conquer map` kept.
 *
 * @param of the fingerprint of the embeddings that it is to be of
 * @returns 'absent' where there is none, 'outdated' where it is of other embeddings
 * @throws DamagedFile
 */
export async function readMap(
  path: string,
  { of, rows }: { of: string; rows: number },
): Promise<MapRead | 'absent' | 'outdated'> {
  const file = await openRegularFile(path);
  if (file === null) return 'absent';
  try {
    const tensors = await SafetensorsFile.open(file);
    const { format, embeddings } = tensors.metadata;
    if (format !== MAP_FORMAT)
      throw new DamagedFile(`expected a map of the format ${MAP_FORMAT}, got ${JSON.stringify(format)}`);
    if (embeddings !== of) return 'outdated';
    const [x, y] = [await tensors.float32('x', [rows]), await tensors.float32('y', [rows])];
    for (const values of [x, y])
      for (let i = 0; i < values.length; i++)
        if (!(Math.abs(values[i] as number) <= 1.001))
          throw new DamagedFile('a number of the map is not within −1 to 1');
    return { x, y };
  } finally {
    await file.close();
  }
}
