import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkRows } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { pairDistances } from './distance.js';
import { Loss, lossPart } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';

const options = z.strictObject({
  eps: z.number().min(0).default(1e-8).describe('added to distances before the logarithm'),
});

export type KoLeoOptions = z.input<typeof options>;

/**
 * KoLeo (Sablayrolles, Douze, Schmid, Jégou, "Spreading vectors for similarity search", ICLR 2019; as in DINOv2), a term to be
 * added to a loss: minus the mean logarithm of each row's distance to its nearest other row of the batch, whatever the
 * labels. It spreads rows over the sphere.
 */
export class KoLeoLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly eps: number;

  constructor(given: KoLeoOptions = {}) {
    super();
    this.eps = withDefaults('KoLeoLoss', options, given).eps;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  override get takesKnownPairs(): boolean {
    return true;
  }

  /** Whether there are two rows. */
  override hasEnough(anchors: Labelled): boolean {
    return anchors.labels.length > 1;
  }

  forward(rows: Rows): Tensor {
    checkRows('koleo loss', rows, { severalLabels: true, knownPairs: true });
    if (!this.hasEnough(rows)) return nothingToLearn(rows);
    return scope(() => {
      const { embeddings } = rows;
      const own = rows.labels.map((_, row) => row);
      const nearest = noGrad(() => {
        const diagonal = tensor(own, { dtype: 'int64', device: embeddings.device }).unsqueeze(1);
        const similarities = embeddings.matmul(embeddings.t());
        return similarities.scatter_(1, diagonal, Number.NEGATIVE_INFINITY).argmax(1).to('int32');
      });
      const distances = pairDistances(embeddings, embeddings, own, nearest.toTypedArray() as Int32Array);
      return distances.add(this.eps).log().mean().neg();
    });
  }
}

export const koleo = lossPart({
  name: 'koleo',
  help: 'a term beside another loss: spreads rows over the sphere (Sablayrolles et al. 2019)',
  usesTuples: false,
  learns: false,
  differs: 'as in DINOv2, of the batch; not in pytorch-metric-learning',
  options,
  build: (options) => new KoLeoLoss(options),
});
