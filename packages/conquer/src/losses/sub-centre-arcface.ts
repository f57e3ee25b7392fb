import { F, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { classTargets } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { angularMargin, marginLogits } from './additive-angular-margin.js';
import { drawnCentres } from './drawn-centres.js';
import { imageWeights, weighedCrossEntropy } from './image-weights.js';
import { type ClassWeightsContext, Loss, type LossContext, lossPart } from './loss.js';
import { weighedOption } from './mined-option.js';

const options = z.strictObject({
  marginDegrees: z.number().min(0).max(180).default(28.6).describe('m, in degrees'),
  scale: z.number().min(1e-3).default(64).describe('s, the inverse of a temperature'),
  subCentres: z
    .int()
    .min(1)
    .max(1000)
    .default(3)
    .describe('K: learned centres of each class, of which the nearest counts'),
  weighed: weighedOption,
});

export interface SubCentreArcFaceOptions extends z.input<typeof options>, ClassWeightsContext {}

/**
 * Sub-centre ArcFace (Deng, Guo, Liu, Gong, Zafeiriou, "Sub-center ArcFace: boosting face recognition by large-scale noisy
 * web faces", ECCV 2020): ArcFace with several learned centres a class, of which an image meets the nearest, so that wrong
 * and hard images gather at a centre of their own. Labels are 0..numClasses-1.
 */
export class SubCentreArcFaceLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = false;
  readonly marginDegrees: number;
  readonly scale: number;
  readonly subCentres: number;
  /** (numClasses · subCentres, embeddingDim), class by class; each starts in a random direction with a length of about 1. */
  readonly centres: Tensor;

  constructor({ numClasses, embeddingDim, generator, ...given }: SubCentreArcFaceOptions) {
    super();
    const all = withDefaults('SubCentreArcFaceLoss', options, given);
    this.marginDegrees = all.marginDegrees;
    this.scale = all.scale;
    this.subCentres = all.subCentres;
    this.usesTuples = all.weighed;
    this.centres = drawnCentres([numClasses * all.subCentres, embeddingDim], generator);
  }

  override get takes() {
    return 'pairs' as const;
  }

  forward(rows: Rows, _reference?: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { embeddings } = rows;
      const numClasses = this.centres.size(0) / this.subCentres;
      const own = classTargets('sub-centre-arcface loss', rows, numClasses).unsqueeze(1);
      const cosines = F.linear(embeddings, F.normalize(this.centres))
        .view([rows.labels.length, numClasses, this.subCentres])
        .maxDim(2)
        .values.clamp({ min: -1, max: 1 });
      const ofOwn = angularMargin(cosines.detach().gather(1, own), (this.marginDegrees * Math.PI) / 180);
      const logits = marginLogits(cosines, own, ofOwn, { scale: this.scale });
      return weighedCrossEntropy(logits, own.squeeze(1), imageWeights(rows, mined));
    });
  }
}

export const subCentreArcface = lossPart({
  name: 'sub-centre-arcface',
  help: 'ArcFace with several learned centres of each class (Deng et al. 2020)',
  usesTuples: false,
  learns: true,
  differs: 'as pytorch-metric-learning',
  options,
  build: (options, { numClasses, embeddingDim, generator }: LossContext) =>
    new SubCentreArcFaceLoss({ ...options, numClasses, embeddingDim, generator }),
});
