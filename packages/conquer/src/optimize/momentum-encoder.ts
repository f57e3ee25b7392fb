import { cat, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { inSinglePrecision } from '../precision.js';
import { ModelAverage, type ModelAverageState } from './model-average.js';

/**
 * The network of a memory that changes slowly: an average of the weights, which moves by 1 - momentum at each step (He, Fan,
 * Wu, Xie, Girshick, "Momentum Contrast", CVPR 2020). It sees a batch as evaluation does: no dropout, running statistics.
 */
export class MomentumEncoder {
  private readonly average: ModelAverage;

  constructor(
    private readonly model: EmbeddingModel,
    momentum: number,
    /** Images at a time; null: all. */
    private readonly chunk: number | null = null,
  ) {
    this.average = new ModelAverage(model, { decay: momentum, warmup: false });
  }

  /** Images (B, 3, H, W) to rows (B, D), neither under a mask nor scaled, without gradients; they belong to the caller. */
  embed(images: BatchImages): Tensor {
    const { model, average } = this;
    const size = images.shape[0]!;
    const chunk = this.chunk ?? size;
    return scope(() =>
      noGrad(() =>
        average.within(() => {
          const { training } = model;
          model.eval();
          try {
            const parts = Array.from({ length: Math.ceil(size / chunk) }, (_, i) => {
              const count = Math.min(chunk, size - i * chunk);
              return scope(() => inSinglePrecision(model.unmasked(images.narrow(0, i * chunk, count))));
            });
            return cat(parts);
          } finally {
            model.train(training);
          }
        }),
      ),
    );
  }

  /** After a step of the optimiser. */
  update(): void {
    this.average.update();
  }

  /** After the model's learners have doubled or halved. */
  follow(): void {
    this.average.follow();
  }

  /** Its own tensors by the names of the model's state dict, not copies. */
  stateDict(): Map<string, Tensor> {
    return this.average.stateDict();
  }

  state(): ModelAverageState {
    return this.average.state();
  }

  /** @throws Error that names what does not fit */
  load(averages: ReadonlyMap<string, Tensor>, state: ModelAverageState): void {
    this.average.load(averages, state);
  }

  dispose(): void {
    this.average.dispose();
  }
}
