import { arange, F, type Generator, nn, randn, scope, type Tensor } from '@conquer/torch';
import { classTargets } from '../batch-labels.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Loss } from './loss.js';

export interface SoftTripleOptions {
  /** C, of the training data. */
  numClasses: number;
  /** D. */
  embeddingDim: number;
  /** K; default 10. */
  centresPerClass?: number;
  /** λ: the inverse of the temperature of the classes. Default 20. */
  scale?: number;
  /** δ: how much more similar the own class has to be. Default 0.01. */
  margin?: number;
  /** γ: the temperature of the choice among a class's centres. Default 0.1. */
  gamma?: number;
  /**
   * τ: the weight of the distances between a class's centres, which merges those that are not needed. Default
   * 0.2.
   */
  tau?: number;
  /** Draws the centres; without one, the generator that manualSeed() sets. */
  generator?: Generator;
}

/** All of its options. */
const optionNames: OptionNames<SoftTripleOptions> = {
  numClasses: true,
  embeddingDim: true,
  centresPerClass: true,
  scale: true,
  margin: true,
  gamma: true,
  tau: true,
  generator: true,
};

/**
 * SoftTriple loss (Qian, Shang, Sun, Hu, Li, Jin, "SoftTriple loss: deep metric learning without triplet
 * sampling", ICCV 2019, equations 7 to 9), with several learned centres a class:
 *
 *     S_c = Σ_k softmax_k(x·w_ck / γ) x·w_ck
 *     mean -log(exp(λ (S_y - δ)) / (exp(λ (S_y - δ)) + Σ_{c ≠ y} exp(λ S_c)))
 *         + τ / (C K (K - 1)) Σ_c Σ_{t < s} sqrt(2 - 2 w_ct·w_cs)
 *
 * Labels are 0..numClasses-1.
 */
export class SoftTripleLoss extends Loss {
  readonly usesTuples = false;
  readonly scale: number;
  readonly margin: number;
  readonly gamma: number;
  readonly tau: number;
  /** (numClasses, centresPerClass, embeddingDim); each starts in a random direction with a length of about 1. */
  readonly centres: Tensor;

  constructor(options: SoftTripleOptions) {
    super();
    refuseUnknownOptions('SoftTripleLoss', options, optionNames);
    const { numClasses, embeddingDim, centresPerClass = 10, generator } = options;
    this.scale = options.scale ?? 20;
    this.margin = options.margin ?? 0.01;
    this.gamma = options.gamma ?? 0.1;
    this.tau = options.tau ?? 0.2;
    const drawn = randn([numClasses, centresPerClass, embeddingDim], { generator });
    this.centres = nn.parameter(drawn.div_(Math.sqrt(embeddingDim)));
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    return scope(() => {
      const { device } = embeddings;
      const [numClasses, perClass, dim] = this.centres.shape as [number, number, number];
      const targets = classTargets('soft-triple loss', embeddings, labels, numClasses);
      const centres = F.normalize(this.centres, { dim: 2 });
      const toCentres = F.linear(embeddings, centres.reshape([numClasses * perClass, dim])).reshape([
        labels.length,
        numClasses,
        perClass,
      ]);
      const similarities = F.softmax(toCentres.div(this.gamma), 2).mul(toCentres).sum(2);
      const isOwn = arange(0, numClasses, 1, { dtype: 'int64', device }).eq(targets.unsqueeze(1));
      const logits = similarities.where(isOwn.logicalNot(), similarities.sub(this.margin)).mul(this.scale);
      const loss = F.crossEntropy(logits, targets);
      if (perClass === 1 || this.tau === 0) return loss;
      return loss.add(this.spread(centres).mul(this.tau));
    });
  }

  /** 1 / (C K (K - 1)) Σ_c Σ_{t < s} sqrt(2 - 2 w_ct·w_cs): normalised (C, K, D) → a scalar. */
  private spread(centres: Tensor): Tensor {
    const [numClasses, perClass] = centres.shape as [number, number];
    const products = centres.matmul(centres.transpose(1, 2));
    const position = arange(0, perClass, 1, { device: centres.device });
    const isPair = position.unsqueeze(1).lt(position).expand(products.shape);
    // The 1e-5 of the authors' code bounds the root's gradient where centres have merged.
    const distances = products.maskedSelect(isPair).mul(-2).add(2).clamp({ min: 0 }).add(1e-5).sqrt();
    return distances.sum().div(numClasses * perClass * (perClass - 1));
  }
}
