import { aten, F, full, scope, softmaxMean, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { drawnCentres } from './drawn-centres.js';
import { imageWeights, weighedCrossEntropy } from './image-weights.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';
import { weighedOption } from './mined-option.js';

const options = z.strictObject({
  centresPerClass: z.int().min(1).max(1000).default(10).describe('K: learned centres of each class'),
  scale: z.number().min(1e-3).default(20).describe('λ: the inverse of the temperature of the classes'),
  margin: z.number().min(0).default(0.01).describe('δ: how much more similar the own class has to be'),
  gamma: z
    .number()
    .min(1e-3)
    .default(0.1)
    .describe("γ: the temperature of the choice among a class's centres"),
  tau: z
    .number()
    .min(0)
    .default(0.2)
    .describe("τ: weight of the distances between a class's centres, which merges those that are not needed"),
  rootOffset: z
    .number()
    .min(0)
    .default(1e-5)
    .describe('added under the root of these distances, as the authors do; pytorch-metric-learning: 0'),
  weighed: weighedOption,
});

export interface SoftTripleOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * SoftTriple loss (Qian, Shang, Sun, Hu, Li, Jin, "SoftTriple loss: deep metric learning without triplet
 * sampling", ICCV 2019, equations 7 to 9), with several learned centres a class:
 *
 *     S_c = Σ_k softmax_k(x·w_ck / γ) x·w_ck
 *     mean -log(exp(λ (S_y - δ)) / (exp(λ (S_y - δ)) + Σ_{c ≠ y} exp(λ S_c)))
 *         + τ / (C K (K - 1)) Σ_c Σ_{t < s} sqrt(2 - 2 w_ct·w_cs + 1e-5)
 *
 * Labels are 0..numClasses-1.
 */
export class SoftTripleLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = false;
  readonly scale: number;
  readonly margin: number;
  readonly gamma: number;
  readonly tau: number;
  readonly rootOffset: number;
  /** (numClasses, centresPerClass, embeddingDim); each starts in a random direction with a length of about 1. */
  readonly centres: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: SoftTripleOptions) {
    super();
    const all = withDefaults('SoftTripleLoss', options, given);
    this.scale = all.scale;
    this.margin = all.margin;
    this.gamma = all.gamma;
    this.tau = all.tau;
    this.rootOffset = all.rootOffset;
    this.usesTuples = all.weighed;
    this.centres = drawnCentres([numClasses, all.centresPerClass, embeddingDim], generator);
  }

  override get takes() {
    return 'pairs' as const;
  }

  forward(rows: Rows, _reference?: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const { dtype, device } = embeddings;
      const [numClasses, perClass, dim] = this.centres.shape as [number, number, number];
      const targets = classTargets('soft-triple loss', rows, numClasses);
      const centres = F.normalize(this.centres, { dim: 2 });
      const toCentres = F.linear(embeddings, centres.reshape([numClasses * perClass, dim])).reshape([
        rows.labels.length,
        numClasses,
        perClass,
      ]);
      const similarities = softmaxMean(toCentres, this.gamma);
      const margins = full([rows.labels.length, 1], -this.margin, { dtype, device });
      const logits = aten.scatter_add(similarities, 1, targets.unsqueeze(1), margins).mul(this.scale);
      const loss = weighedCrossEntropy(logits, targets, imageWeights(rows, mined));
      if (perClass === 1 || this.tau === 0) return loss;
      return loss.add(this.spread(centres).mul(this.tau));
    });
  }

  /** 1 / (C K (K - 1)) Σ_c Σ_{t < s} sqrt(2 - 2 w_ct·w_cs + offset): normalised (C, K, D) → a scalar. */
  private spread(centres: Tensor): Tensor {
    const [numClasses, perClass] = centres.shape as [number, number];
    const products = centres.matmul(centres.transpose(1, 2));
    const places = Array.from({ length: perClass ** 2 }, (_, place) => place).filter(
      (place) => Math.floor(place / perClass) < place % perClass,
    );
    const pairs = tensor(Int32Array.from(places), { dtype: 'int64', device: centres.device });
    // The offset bounds the root's gradient where centres have merged.
    const least = Math.max(this.rootOffset, 1e-12);
    const distances = products
      .view([numClasses, -1])
      .indexSelect(1, pairs)
      .mul(-2)
      .add(2 + this.rootOffset)
      .clamp({ min: least })
      .sqrt();
    return distances.sum().div(numClasses * perClass * (perClass - 1));
  }
}

export const softTriple = lossPart({
  name: 'soft-triple',
  help: 'cross entropy over several learned centres of each class (Qian et al. 2019)',
  usesTuples: false,
  learns: true,
  differs:
    "the authors' 1e-5 under the root of the centres' distances; `rootOffset: 0` as pytorch-metric-learning",
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new SoftTripleLoss({ ...options, numClasses, embeddingDim, generator }),
});
