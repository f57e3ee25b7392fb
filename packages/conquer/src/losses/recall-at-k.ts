import { cat, type Generator, rand, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { OptionError } from '../option-error.js';
import { withDefaults } from '../part.js';
import { hasOneLabel, type Labelled, type Rows } from '../rows.js';
import { classMembers } from './class-members.js';
import { similaritiesBy } from './distances.js';
import { Loss, type LossContext, lossPart } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';
import { hasPositivesAndNegatives } from './pair-masks.js';

const options = z.strictObject({
  ks: z
    .array(z.int().min(1))
    .min(1)
    .default([1, 2, 4, 8, 16])
    .describe('the k of which recall@k is averaged'),
  kTemperatures: z
    .array(z.number().min(1e-6))
    .min(1)
    .default([1])
    .describe('temperature of the sigmoid that counts ranks within k: of each k, or one for all'),
  temperature: z.number().min(1e-6).default(0.01).describe('temperature of the sigmoids that make ranks'),
  mixup: z
    .boolean()
    .default(false)
    .describe('add a random mixture of each two images of a class to the batch (SiMix)'),
});

export interface RecallAtKOptions extends z.input<typeof options> {
  /** Draws the mixtures; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/**
 * Recall@k surrogate (Patel, Tolias, Matas, "Recall@k surrogate loss with large batches and similarity mixup", CVPR 2022):
 * 1 minus the mean over queries and k of min(k, Σ_{j ∈ P} σ((k - r_j) / t_k)) / min(k, |P|), with ranks
 * r_j = 1 + Σ_{i ≠ j} σ((s_i - s_j) / t) over all rows of the reference set. As in the authors' code the query's own is one of
 * them, so that a perfect first hit has a rank of about 2. k is at most the rows there are. Queries without a positive do not
 * count. Memory is A M N numbers, M of the largest class.
 */
export class RecallAtKLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference: boolean;
  readonly ks: readonly number[];
  readonly kTemperatures: readonly number[];
  readonly temperature: number;
  readonly mixup: boolean;
  readonly #generator: Generator | undefined;

  /** @throws OptionError for temperatures that are neither one nor as many as the k */
  constructor({ generator, ...given }: RecallAtKOptions = {}) {
    super();
    const { ks, kTemperatures, temperature, mixup } = withDefaults('RecallAtKLoss', options, given);
    if (kTemperatures.length !== 1 && kTemperatures.length !== ks.length) {
      throw new OptionError(
        'kTemperatures',
        `expected one number, or one for each of the ${ks.length} ks, got ${kTemperatures.length}`,
        'RecallAtKLoss',
      );
    }
    this.ks = ks;
    this.kTemperatures = kTemperatures;
    this.temperature = temperature;
    this.mixup = mixup;
    this.usesReference = !mixup;
    this.#generator = generator;
  }

  override get takesSeveralLabels(): boolean {
    return !this.mixup;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    checkPair('recall-at-k loss', anchors, reference, !this.mixup);
    const mostK = (this.usesReference ? reference : anchors).labels.length;
    return scope(() => {
      if (!this.mixup) return this.ofRows(anchors, reference, mostK);
      const mixed = withMixtures(anchors, this.#generator);
      return this.ofRows(mixed, mixed, mostK);
    });
  }

  private ofRows(anchors: Rows, reference: Rows, mostK: number): Tensor {
    const { rows, present, counts } = classMembers(anchors, reference, false);
    const having = counts.reduce((sum, count) => sum + Number(count > 0), 0);
    if (having === 0) return nothingToLearn(anchors);
    const similarities = similaritiesBy('cosine', anchors, reference, this.temperature);
    const own = similarities.gather(1, rows);
    const above = similarities.unsqueeze(1).sub(own.unsqueeze(2)).sigmoid();
    // σ(0), of the image itself, is 1/2.
    const ranks = above.sum(2).add(0.5);
    const { dtype, device } = anchors.embeddings;
    const recalls = this.ks.map((given, i) => {
      const k = Math.min(given, mostK);
      const temperature = this.kTemperatures[i] ?? this.kTemperatures[0]!;
      const found = ranks.neg().add(k).div(temperature).sigmoid().mul(present).sum(1).clamp({ max: k });
      const share = Float64Array.from(counts, (count) =>
        count > 0 ? 1 / (Math.min(k, count) * having * this.ks.length) : 0,
      );
      return found.mul(tensor(share, { dtype, device })).sum();
    });
    return recalls
      .reduce((sum, recall) => sum.add(recall))
      .neg()
      .add(1);
  }
}

/** A batch and a mixture α x + (1 - α) y of each two of its images of one class, which are not scaled to length 1. */
function withMixtures(rows: Rows, generator: Generator | undefined): Rows {
  const { embeddings, labels } = rows;
  const first: number[] = [];
  const second: number[] = [];
  const last = new Map<number, number[]>();
  for (const [row, label] of labels.entries()) {
    const earlier = last.get(label) ?? [];
    for (const one of earlier) {
      first.push(one);
      second.push(row);
    }
    last.set(label, [...earlier, row]);
  }
  if (first.length === 0 || !hasOneLabel(rows)) return rows;
  const { dtype, device } = embeddings;
  const share = rand([first.length, 1], { generator, dtype }).to({ device });
  const at = (indices: number[]) =>
    embeddings.indexSelect(0, tensor(Int32Array.from(indices), { dtype: 'int64', device }));
  const mixtures = at(first)
    .mul(share)
    .add(at(second).mul(share.neg().add(1)));
  const size = labels.length + first.length;
  return {
    embeddings: cat([embeddings, mixtures]),
    labels: Int32Array.from([...labels, ...first.map((row) => labels[row]!)]),
    imageIds: Int32Array.from({ length: size }, (_, row) => row),
  };
}

export const recallAtK = lossPart({
  name: 'recall-at-k',
  help: 'recall@k of ranks by sigmoids (Patel et al. 2022)',
  usesTuples: false,
  learns: false,
  differs:
    'as the authors: the query itself is among what is ranked; mixup is their SiMix, and draws from the generator of the weights. Not in pytorch-metric-learning',
  options,
  build: (options, { generator }: LossContext) => new RecallAtKLoss({ ...options, generator }),
});
