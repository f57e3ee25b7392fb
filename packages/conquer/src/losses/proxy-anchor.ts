import { arange, F, nn, randn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { imageWeights } from './image-weights.js';
import { logOnePlusSumExp } from './log-one-plus-sum-exp.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';
import { weighedOption } from './mined-option.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.1).describe('δ: how far from the proxies similarities are to be'),
  alpha: z
    .number()
    .min(1e-3)
    .default(32)
    .describe('α: how much the hardest images weigh more than the others'),
  weighed: weighedOption,
});

export interface ProxyAnchorOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * Proxy-Anchor (Kim, Kim, Cho, Kwak, "Proxy anchor loss for deep metric learning", CVPR 2020, equation 4): every proxy is
 * an anchor for the images of the batch, by their cosine similarities s to it,
 *
 *     1/|C⁺| Σ_{c ∈ C⁺} log(1 + Σ_{i: y_i = c} exp(-α (s_ic - δ))) + 1/C Σ_c log(1 + Σ_{i: y_i ≠ c} exp(α (s_ic + δ)))
 *
 * where C⁺ are the classes that have images in the batch, C all. A proxy a class is learned.
 * Weights of images are, less 1, added to the exponents, as in pytorch-metric-learning. Labels are 0..numClasses-1.
 */
export class ProxyAnchorLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = false;
  readonly margin: number;
  readonly alpha: number;
  /** (numClasses, embeddingDim); as the authors draw them, from N(0, 2 / numClasses). */
  readonly proxies: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: ProxyAnchorOptions) {
    super();
    const { margin, alpha, weighed } = withDefaults('ProxyAnchorLoss', options, given);
    this.margin = margin;
    this.alpha = alpha;
    this.usesTuples = weighed;
    this.proxies = nn.parameter(
      randn([numClasses, embeddingDim], { generator }).mul_(Math.sqrt(2 / numClasses)),
    );
  }

  override get takes() {
    return 'pairs' as const;
  }

  forward(rows: Rows, _reference?: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const numClasses = this.proxies.size(0);
      const targets = classTargets('proxy-anchor loss', rows, numClasses);
      const classes = arange(0, numClasses, 1, { dtype: 'int64', device: embeddings.device });
      // (C, B): a row for each proxy.
      const isOwn = classes.unsqueeze(1).eq(targets.unsqueeze(0));
      const similarities = F.linear(F.normalize(this.proxies), F.normalize(embeddings));
      const weights = imageWeights(rows, mined);
      const weighed = (exponents: Tensor) => (weights === null ? exponents : exponents.add(weights.sub(1)));
      const pull = logOnePlusSumExp(weighed(similarities.sub(this.margin).mul(-this.alpha)), isOwn);
      const push = logOnePlusSumExp(
        weighed(similarities.add(this.margin).mul(this.alpha)),
        isOwn.logicalNot(),
      );
      // A proxy without images adds nothing to the first sum, and is not counted.
      return pull.sum().div(isOwn.sum(1).gt(0).sum()).add(push.mean());
    });
  }
}

export const proxyAnchor = lossPart({
  name: 'proxy-anchor',
  help: 'a learned proxy for each class, with the images of a batch weighed by their hardness (Kim et al. 2020)',
  usesTuples: false,
  learns: true,
  differs: "equal in pytorch-metric-learning and the authors' code",
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new ProxyAnchorLoss({ ...options, numClasses, embeddingDim, generator }),
});
