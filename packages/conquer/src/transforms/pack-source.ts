import type { PackedImages } from '@conquer/image';
import { aten, scope, type Tensor, tensor } from '@conquer/torch';
import type { ImageSource } from './image-source.js';

/** The images of a pack file, mapped into memory: reading a batch copies it from there. */
export class PackSource implements ImageSource {
  readonly count: number;
  private readonly side: number;
  /** uint8 (N, side · side · 3) */
  private readonly rows: Tensor;

  constructor({ file, offset, size, count }: PackedImages) {
    this.count = count;
    this.side = size;
    const bytes = size * size * 3;
    this.rows = scope(() =>
      aten
        .from_file(file, false, offset + count * bytes, 'uint8')
        .narrow(0, offset, count * bytes)
        .view([count, bytes]),
    ).keep();
  }

  async read(positions: Int32Array): Promise<Tensor> {
    return scope(() => {
      const images = this.rows.indexSelect(0, tensor(positions));
      return images.view([positions.length, this.side, this.side, 3]);
    }).keep();
  }

  /** Ends the mapping. */
  dispose(): void {
    this.rows.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
