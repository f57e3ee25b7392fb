import { cat, imagesFromPixels, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

/** Images of a batch that are kept as bytes, a quarter of their numbers, and become numbers so many at a time. */
export class ImagesInChunks implements BatchImages {
  /** Where what a chunk's transform draws begins. */
  private readonly drawnFrom: ReturnType<Random['getState']>[] = [];

  /**
   * @param pixels uint8 (B, H, W, 3), which it takes over
   * @param stream draws what the transform does to each chunk, so that chunks of another size are transformed otherwise
   * @param chunk images
   */
  constructor(
    private readonly pixels: Tensor,
    private readonly transform: BatchTransform,
    private readonly stream: Random,
    private readonly chunk: number,
    private readonly device: string,
  ) {
    for (let start = 0; start < pixels.size(0); start += chunk) this.drawnFrom.push(stream.fork().getState());
  }

  /** As they were read. */
  get shape(): readonly number[] {
    const [batch, height, width, channels] = this.pixels.shape as [number, number, number, number];
    return [batch, channels, height, width];
  }

  narrow(_: 0, start: number, count: number): Tensor {
    const { chunk } = this;
    return noGrad(() =>
      scope(() => {
        const parts: Tensor[] = [];
        for (let at = Math.floor(start / chunk); at * chunk < start + count; at++) {
          const images = this.transformed(at);
          const first = Math.max(start - at * chunk, 0);
          const last = Math.min(start + count - at * chunk, images.size(0));
          parts.push(last - first === images.size(0) ? images : images.narrow(0, first, last - first));
        }
        return parts.length === 1 ? parts[0]! : cat(parts);
      }),
    );
  }

  private transformed(at: number): Tensor {
    const { pixels, chunk, device, stream, transform } = this;
    const count = Math.min(chunk, pixels.size(0) - at * chunk);
    stream.setState(this.drawnFrom[at]!);
    return scope(() => {
      const images = imagesFromPixels(pixels.narrow(0, at * chunk, count).to({ device }));
      return transform.apply(images, stream);
    });
  }

  dispose(): void {
    this.pixels.dispose();
  }
}
