import { aten, cat, F, nn, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair, checkRows } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';

const options = z.strictObject({
  proxiesPerClass: z
    .int()
    .min(1)
    .max(1000)
    .default(15)
    .describe('M: learned proxies of each class; the paper has 15 for CUB and Cars, 2 for SOP'),
  alpha: z.number().min(1e-3).default(4).describe('α: how fast the field decays with distance'),
  delta: z
    .number()
    .min(1e-3)
    .default(0.2)
    .describe('δ: nearer ones of a class attract no more, farther ones of others repel no more'),
});

export interface PotentialFieldOptions extends z.input<typeof options>, ClassWeightsContext {}

/** Nearer points of other classes are pushed as those at a hundredth: the field has no bound at 0. */
const LEAST_SQUARE = 1e-4;

/**
 * Potential-field loss (Bhatnagar, Ahuja, "Potential field based deep metric learning", CVPR 2025): every embedding and every
 * learned proxy is a charge, and the loss the energy of all in the field of all others,
 *
 *     U = Σ_i Ψ_{y_i}(z_i) + Σ_c Σ_k Ψ_c(p_ck),   Ψ_c(r) = Σ_{of c} ψ_att(|r - s|) + Σ_{of others} ψ_rep(|r - s|)
 *     ψ_att(d) = -1/max(d, δ)^α,   ψ_rep(d) = 1/min(d, δ)^α
 *
 * of rows of length 1, the field of an image's own left out. It is a sum, as in the paper, and large. With a reference set its
 * rows are the charges, and the anchors and proxies what is in their field. Labels are 0..numClasses-1. Memory is
 * (A + P) (N + P) numbers of P proxies.
 */
export class PotentialFieldLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly proxiesPerClass: number;
  readonly alpha: number;
  readonly delta: number;
  /** (numClasses · proxiesPerClass, embeddingDim), class by class; each starts in a random direction. */
  readonly proxies: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: PotentialFieldOptions) {
    super();
    const { proxiesPerClass, alpha, delta } = withDefaults('PotentialFieldLoss', options, given);
    this.proxiesPerClass = proxiesPerClass;
    this.alpha = alpha;
    this.delta = delta;
    const drawn = randn([numClasses * proxiesPerClass, embeddingDim], { generator });
    this.proxies = nn.parameter(drawn.div_(Math.sqrt(embeddingDim)));
  }

  forward(anchors: Rows, reference: Rows = anchors): Tensor {
    const numClasses = this.proxies.size(0) / this.proxiesPerClass;
    checkPair('potential-field loss', anchors, reference);
    for (const rows of [anchors, reference]) checkRows('potential-field loss', rows, { numClasses });
    return scope(() => {
      const proxies = F.normalize(this.proxies);
      const { device } = proxies;
      const index = (values: Int32Array) => tensor(values, { dtype: 'int64', device });
      const classes = Int32Array.from({ length: proxies.size(0) }, (_, proxy) =>
        Math.floor(proxy / this.proxiesPerClass),
      );
      // A proxy is no image: below all numbers of these.
      const lowest = Math.min(0, ...anchors.imageIds, ...reference.imageIds);
      const numbers = classes.map((_, proxy) => lowest - 1 - proxy);
      const [points, sources] = [anchors, reference].map(({ embeddings, labels, imageIds }) => ({
        rows: cat([embeddings, proxies]),
        labels: index(Int32Array.from([...labels, ...classes])),
        ids: index(Int32Array.from([...imageIds, ...numbers])),
      })) as [Charges, Charges];
      const field = squares(points.rows, sources.rows)
        .clamp({ min: LEAST_SQUARE })
        .pow(-this.alpha / 2);
      const atDelta = this.delta ** -this.alpha;
      const isOfClass = points.labels.unsqueeze(1).eq(sources.labels);
      const isItself = points.ids.unsqueeze(1).eq(sources.ids);
      const attraction = field.clamp({ max: atDelta }).neg();
      const energies = attraction.where(isOfClass, field.clamp({ min: atDelta }));
      return energies.maskedFill(isItself, 0).sum();
    });
  }
}

interface Charges {
  rows: Tensor;
  labels: Tensor;
  ids: Tensor;
}

const squares = (x: Tensor, y: Tensor) =>
  aten.addmm(x.square().sum(1, true).add(y.square().sum(1)), x, y.t(), 1, -2);

export const potentialField = lossPart({
  name: 'potential-field',
  help: 'images and several proxies a class as charges that attract and repel (Bhatnagar and Ahuja 2025)',
  usesTuples: false,
  learns: true,
  differs:
    'of the paper, whose code is not published: the energy, a sum, of its equations 1 to 6; not in pytorch-metric-learning',
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new PotentialFieldLoss({ ...options, numClasses, embeddingDim, generator }),
});
