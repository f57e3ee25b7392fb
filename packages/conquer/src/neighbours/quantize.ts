import { QuantizedRows, quantizedBits, scope, type Tensor } from '@conquer-dml/torch';
import { checkStop } from '../stop-check.js';
import { COPIED_ROWS } from './block-vectors.js';
import type { Search } from './nearest-candidates.js';
import { centre, squaredNorms } from './product-filter.js';
import { type Rotation, spreadingRotation, turnedBy } from './spreading-rotation.js';

/** Of integers in the place of float32. */
export type Bits = 8 | 16;

/** Those that this processor multiplies, the fastest first. */
export function possibleBits(): readonly Bits[] {
  const most = quantizedBits();
  return most === 8 ? [8, 16] : most === 16 ? [16] : [];
}

/** Bytes have no precision to give away, and more of it after a rotation; 16 bits lose more by its rounding. */
export const rotationFor = (bits: Bits, dimensions: number): Rotation | null =>
  bits === 8 ? spreadingRotation(dimensions) : null;

/** Rows (N, D) in the search's space as integers; to be disposed. */
export function quantized(
  rows: Tensor,
  { space, stop }: Pick<Search, 'space' | 'stop'>,
  rotation: Rotation | null,
  bits: Bits,
): QuantizedRows {
  const [count, dimensions] = [rows.size(0), rows.size(1)];
  const packed = new QuantizedRows(count, dimensions, bits);
  for (let start = 0; start < count; start += COPIED_ROWS) {
    checkStop(stop);
    scope(() => {
      const centred = centre(rows.narrow(0, start, Math.min(COPIED_ROWS, count - start)), space, 'float32');
      const squares = squaredNorms(centred).select(1, 0).contiguous();
      const turned = rotation ? turnedBy(rotation, centred) : centred;
      packed.fill(turned, squares, rotation?.error ?? 0, start);
    });
  }
  return packed;
}
