import { crc32 } from 'node:zlib';
import { native } from '../binding.js';
import { attempt } from '../error.js';
import type { Tensor } from '../tensor.js';
import type { FileReader } from './file-reader.js';

/** Small enough for the cache: a piece is read, summed and copied while it is there. */
const PIECE_BYTES = 1024 * 1024;

/** Moves bytes from a file into the memory of tensors, piece by piece through one buffer. */
export class TensorFileReader {
  readonly #file: FileReader;
  readonly #buffer: Buffer;

  constructor(file: FileReader) {
    this.#file = file;
    this.#buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, file.size));
  }

  /** Fills a contiguous tensor on the CPU with `bytes` bytes of the file, from `position` on. */
  fill(tensor: Tensor, position: number, bytes: number): void {
    this.#fill(tensor, position, bytes, () => {});
  }

  /** The same, and returns the CRC-32 of the bytes. */
  fillAndSum(tensor: Tensor, position: number, bytes: number): number {
    let sum = 0;
    this.#fill(tensor, position, bytes, (piece) => {
      sum = crc32(piece, sum);
    });
    return sum;
  }

  #fill(tensor: Tensor, position: number, bytes: number, see: (piece: Buffer) => void): void {
    const isBool = tensor.dtype === 'bool';
    for (let done = 0; done < bytes; ) {
      const piece = this.#buffer.subarray(0, Math.min(this.#buffer.length, bytes - done));
      this.#file.readInto(piece, position + done);
      see(piece);
      // libtorch relies on a bool being 0 or 1.
      if (isBool) for (let i = 0; i < piece.length; i++) piece[i] = piece[i] === 0 ? 0 : 1;
      native.copyFromBuffer(tensor.handle, piece, done);
      done += piece.length;
    }
  }
}

/** A copy of a tensor's elements as they stand in files: row-major, little-endian. */
export function tensorBytes(tensor: Tensor): Uint8Array {
  return new Uint8Array(attempt('toBuffer', () => native.toBuffer(tensor.handle)));
}
