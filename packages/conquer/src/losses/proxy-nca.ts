import { UserError } from '@conquer-dml/run';
import { aten, F, nn, randn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';

const options = z.strictObject({
  scale: z.number().min(1e-3).default(3).describe('the length that embeddings and proxies are scaled to'),
});

/** Of at least 2 classes. */
export interface ProxyNcaOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * Proxy-NCA (Movshovitz-Attias, Toshev, Leung, Ioffe, Singh, "No fuss distance metric learning using
 * proxies", ICCV 2017): the mean over the images of -log(exp(-|x - p_y|²) / Σ_{z ≠ y} exp(-|x - p_z|²)). A
 * proxy a class is learned. As published, the own proxy is not in the denominator, so that the loss can be
 * negative. Labels are 0..numClasses-1.
 */
export class ProxyNcaLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly scale: number;
  /** (numClasses, embeddingDim); starts in a random direction with a length of about 1. */
  readonly proxies: Tensor;

  /** @throws UserError with fewer than two classes: there is nothing to tell a proxy from */
  constructor({ numClasses, embeddingDim, generator, ...given }: ProxyNcaOptions) {
    super();
    const { scale } = withDefaults('ProxyNcaLoss', options, given);
    if (!(numClasses >= 2))
      throw new UserError(`proxy-nca loss: expected at least 2 classes, got ${numClasses}`);
    this.scale = scale;
    this.proxies = nn.parameter(
      randn([numClasses, embeddingDim], { generator }).div_(Math.sqrt(embeddingDim)),
    );
  }

  forward(rows: Rows): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const own = classTargets('proxy-nca loss', rows, this.proxies.size(0)).unsqueeze(1);
      // |x - p|² = 2 scale² (1 - cos) for vectors of length `scale`; the 1 is the same above and below the fraction.
      const similarities = F.linear(F.normalize(embeddings), F.normalize(this.proxies)).mul(
        2 * this.scale ** 2,
      );
      const others = aten.scatter$value(similarities, 1, own, -Infinity);
      return others.logsumexp(1).sub(similarities.gather(1, own).squeeze(1)).mean();
    });
  }
}

export const proxyNca = lossPart({
  name: 'proxy-nca',
  help: 'a learned proxy for each class (Movshovitz-Attias et al. 2017)',
  usesTuples: false,
  learns: true,
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new ProxyNcaLoss({ ...options, numClasses, embeddingDim, generator }),
});
