import { nn, type Tensor } from '@conquer-dml/torch';
import type { LayerOptions } from './layer-options.js';

/** The images' patches as tokens. */
export class PatchEmbedding extends nn.Module {
  readonly proj: nn.Conv2d;

  constructor(patch: number, width: number, bias: boolean, { generator, skipInit, device }: LayerOptions) {
    super();
    this.proj = new nn.Conv2d(3, width, patch, { stride: patch, bias, generator, skipInit, device });
  }

  /** (B, 3, H, W) → (B, width, H / patch, W / patch) */
  forward(images: Tensor): Tensor {
    return this.proj.forward(images);
  }
}
