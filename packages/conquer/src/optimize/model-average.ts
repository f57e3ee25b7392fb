import { aten, noGrad, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { withDefaults } from '../part.js';

export const averageOptions = z.strictObject({
  decay: z
    .number()
    .min(0)
    .max(0.999999)
    .default(0.999)
    .describe('how much of the average stays at each step, in the long run'),
  warmup: z
    .boolean()
    .default(true)
    .describe('begin with less, 1 - step ^ (-2/3), so that the weights at the start are soon forgotten'),
});

/** What a checkpoint keeps besides the averages themselves. */
export interface ModelAverageState {
  /** Updates so far. */
  steps: number;
}

/**
 * An exponential moving average of a model's weights and BatchNorm statistics (Polyak averaging), which is what is
 * evaluated and saved as the model, while training goes on with the weights themselves. It counts its own steps.
 */
export class ModelAverage {
  private readonly decay: number;
  private readonly warmup: boolean;
  /** By the names of the model's state dict. */
  private readonly averages = new Map<string, Tensor>();
  private steps = 0;

  /**
   * Starts at the model's weights, whose copies are this one's own.
   *
   * @throws OptionError for an option out of its range
   */
  constructor(
    private readonly model: EmbeddingModel,
    options: z.input<typeof averageOptions> = {},
  ) {
    const { decay, warmup } = withDefaults('ModelAverage', averageOptions, options);
    this.decay = decay;
    this.warmup = warmup;
    this.follow();
  }

  /** How much of the average the update of this number leaves, counted from 1: the first copies while it warms up. */
  decayAt(step: number): number {
    return this.warmup ? Math.min(this.decay, 1 - step ** (-2 / 3)) : this.decay;
  }

  /** After a step of the optimiser. Whole numbers, such as BatchNorm's count of batches, are copied. */
  update(): void {
    this.steps++;
    const share = 1 - this.decayAt(this.steps);
    noGrad(() => {
      for (const [name, now] of this.model.stateDict()) {
        const average = this.averages.get(name)!;
        if (now.dtype.includes('float')) aten.lerp_$Scalar(average, now, share);
        else average.copy_(now);
      }
    });
  }

  /** After the model's learners have doubled or halved: the averages of their masks start anew, at the new masks. */
  follow(): void {
    const state = this.model.stateDict();
    noGrad(() => {
      const gone = [...this.averages].filter(([name]) => !state.has(name) || isMask(name));
      for (const [name, average] of gone) {
        average.dispose();
        this.averages.delete(name);
      }
      for (const [name, now] of state)
        if (!this.averages.has(name)) this.averages.set(name, now.clone().keep());
    });
  }

  /** Lets the model have the averages while `body` runs, and its own weights again afterwards. */
  async during<T>(body: () => Promise<T>): Promise<T> {
    this.exchange();
    try {
      return await body();
    } finally {
      this.exchange();
    }
  }

  /** The same at once. */
  within<T>(body: () => T): T {
    this.exchange();
    try {
      return body();
    } finally {
      this.exchange();
    }
  }

  /** The averages, by the names of the model's state dict: its own tensors, not copies. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.averages);
  }

  /** Of a checkpoint, for JSON. */
  state(): ModelAverageState {
    return { steps: this.steps };
  }

  /**
   * Goes on from saved averages, which are copied; the model has as many learners as then.
   *
   * @throws Error that names what does not fit; then nothing was loaded
   */
  load(averages: ReadonlyMap<string, Tensor>, { steps }: ModelAverageState): void {
    const wrong = [...this.averages].find(
      ([name, average]) => averages.get(name)?.shape.join() !== average.shape.join(),
    );
    if (wrong) throw new Error(`the average of ${wrong[0]} is missing, or of another shape`);
    noGrad(() => {
      for (const [name, average] of this.averages) average.copy_(averages.get(name)!);
    });
    this.steps = steps;
  }

  /** Frees the averages; the model stays. */
  dispose(): void {
    for (const average of this.averages.values()) average.dispose();
    this.averages.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private exchange(): void {
    noGrad(() => {
      for (const [name, now] of this.model.stateDict()) {
        const average = this.averages.get(name)!;
        using kept = now.clone();
        now.copy_(average);
        average.copy_(kept);
      }
    });
  }
}

const isMask = (name: string) => name.startsWith('masks.');
