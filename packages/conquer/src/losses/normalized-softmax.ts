import { F, type Generator, nn, randn, scope, type Tensor } from '@conquer/torch';
import { classTargets } from '../batch-labels.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Loss } from './loss.js';

export interface NormalizedSoftmaxOptions {
  /** Of the training data. */
  numClasses: number;
  /** D. */
  embeddingDim: number;
  /** Default 0.05. */
  temperature?: number;
  /** The share of the target that is spread over all classes, 0…1; default 0. */
  labelSmoothing?: number;
  /** Draws the class weights; without one, the generator that manualSeed() sets. */
  generator?: Generator;
}

/** All of its options. */
const optionNames: OptionNames<NormalizedSoftmaxOptions> = {
  numClasses: true,
  embeddingDim: true,
  temperature: true,
  labelSmoothing: true,
  generator: true,
};

/**
 * Normalised softmax (Zhai and Wu, "Classification is a strong baseline for deep metric learning", BMVC
 * 2019): cross entropy of x · w_c / (|w_c| temperature), without bias. The class weights are learned. Labels
 * are 0..numClasses-1.
 */
export class NormalizedSoftmaxLoss extends Loss {
  readonly usesTuples = false;
  readonly temperature: number;
  readonly labelSmoothing: number;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly classWeights: Tensor;

  constructor(options: NormalizedSoftmaxOptions) {
    super();
    refuseUnknownOptions('NormalizedSoftmaxLoss', options, optionNames);
    const { numClasses, embeddingDim, temperature = 0.05, labelSmoothing = 0, generator } = options;
    this.temperature = temperature;
    this.labelSmoothing = labelSmoothing;
    this.classWeights = nn.parameter(
      randn([numClasses, embeddingDim], { generator }).div_(Math.sqrt(embeddingDim)),
    );
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    return scope(() => {
      const targets = classTargets('normalized-softmax loss', embeddings, labels, this.classWeights.size(0));
      const logits = F.linear(embeddings, F.normalize(this.classWeights)).div(this.temperature);
      return F.crossEntropy(logits, targets, { labelSmoothing: this.labelSmoothing });
    });
  }
}
