import { cat, F, full, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkRows } from '../batch-labels.js';
import { type Ball, ballOptions, poincareDistances } from '../neighbours/poincare.js';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';

const options = ballOptions.extend({
  temperature: z.number().min(1e-6).default(0.2).describe('divides the distances'),
  average: z
    .boolean()
    .default(false)
    .describe('divide by the square of the images a class, as HIER does, instead of the sum'),
});

export type HyperbolicPairwiseOptions = z.input<typeof options>;

/**
 * Pairwise cross entropy in the Poincaré ball (Ermolov, Mirvakhabova, Khrulkov, Sebe, Oseledets, "Hyperbolic vision
 * transformers: combining improvements in metric learning", CVPR 2022), of embeddings as they are before they are scaled to
 * length 1. The images of each class are numbered; for each ordered pair of numbers p ≠ q: the mean over the classes of the
 * cross entropy of [-d(pᵢ, all q), -d(pᵢ, all p but i)] / t towards qᵢ. The sum over the pairs. A class with fewer images has
 * no part in what it has none for.
 */
export class HyperbolicPairwiseLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = false;
  readonly curvature: number;
  readonly clipRadius: number | null;
  readonly temperature: number;
  readonly average: boolean;

  constructor(given: HyperbolicPairwiseOptions = {}) {
    super();
    const all = withDefaults('HyperbolicPairwiseLoss', options, given);
    this.curvature = all.curvature;
    this.clipRadius = all.clipRadius;
    this.temperature = all.temperature;
    this.average = all.average;
  }

  override get ball(): Ball | null {
    return ballOfOptions(this);
  }

  /** Whether an anchor has an image of its class to be told from others. */
  override hasEnough(anchors: Labelled): boolean {
    return countPairs(anchors, anchors).positives.some((count) => count > 0);
  }

  /** The distances of the rows of a batch from each other: (B, B). */
  distances({ embeddings, raw = embeddings }: Rows): Tensor {
    const { ball } = this;
    if (ball) return poincareDistances(raw, raw, ball);
    return scope(() => {
      const x = F.normalize(raw);
      return x.matmul(x.t()).neg();
    });
  }

  forward(rows: Rows): Tensor {
    checkRows('hyperbolic-pairwise loss', rows);
    return scope(() => {
      const numbered = numberedByClass(rows);
      const { places, pairs, width } = numbered;
      if (pairs.length === 0) return nothingToLearn(rows);
      const { dtype, device } = rows.embeddings;
      const index = (values: Int32Array | number[]) =>
        tensor(Int32Array.from(values), { dtype: 'int64', device });
      const size = rows.labels.length;
      const logits = this.distances(rows).div(-this.temperature);
      // (B, M, C): by the number that an image has in its class. An image is not compared with itself.
      const nobody = full([size, 1], Number.NEGATIVE_INFINITY, { dtype, device });
      const own = index(rows.labels.map((_, row) => row)).unsqueeze(1);
      const others = cat([logits.clone().scatter_(1, own, Number.NEGATIVE_INFINITY), nobody], 1);
      const grouped = others.indexSelect(1, index(places)).view([size, width, -1]);
      // Of a single class, an image is alone with its own number.
      const sums = grouped.logsumexp(2).clamp({ min: -1e30 });
      const flat = (row: number, number: number) => row * width + number;
      const at = (of: (pair: NumberedPair) => number) => index(pairs.map(of));
      const toPartners = sums.view([-1]).indexSelect(
        0,
        at(({ row, partnerNumber }) => flat(row, partnerNumber)),
      );
      const toOwn = sums.view([-1]).indexSelect(
        0,
        at(({ row, number }) => flat(row, number)),
      );
      const toPartner = logits.view([-1]).indexSelect(
        0,
        at(({ row, partner }) => row * size + partner),
      );
      const highest = toPartners.maximum(toOwn).detach();
      const all = toPartners.sub(highest).exp().add(toOwn.sub(highest).exp()).log().add(highest);
      const share = tensor(
        Float64Array.from(pairs, ({ share }) => share),
        { dtype, device },
      );
      const loss = all.sub(toPartner).mul(share).sum();
      return this.average ? loss.div(width * width) : loss;
    });
  }
}

/** An image and another of its class. */
interface NumberedPair {
  row: number;
  number: number;
  partner: number;
  partnerNumber: number;
  /** 1 / the number of such pairs with the same two numbers. */
  share: number;
}

/** The images of a batch by class, numbered in each. */
function numberedByClass({ labels }: Labelled) {
  const classes = new Map<number, number[]>();
  for (const [row, label] of labels.entries()) {
    const members = classes.get(label);
    if (members) members.push(row);
    else classes.set(label, [row]);
  }
  const members = [...classes.values()];
  const width = Math.max(...members.map(({ length }) => length));
  // Beyond the last row stands nobody.
  const places = Array.from({ length: width }, (_, number) =>
    members.map((own) => own[number] ?? labels.length),
  ).flat();
  const having = Array.from(
    { length: width },
    (_, number) => members.filter(({ length }) => length > number).length,
  );
  const pairs = members.flatMap((own) =>
    own.flatMap((row, number) =>
      own.flatMap((partner, partnerNumber): NumberedPair[] =>
        number === partnerNumber
          ? []
          : [{ row, number, partner, partnerNumber, share: 1 / having[Math.max(number, partnerNumber)]! }],
      ),
    ),
  );
  return { width, places, pairs };
}

/** The ball of such options; null where they say unit vectors. */
export const ballOfOptions = ({ curvature, clipRadius }: Ball): Ball | null =>
  curvature > 0 ? { curvature, clipRadius } : null;

export const hyperbolicPairwise = lossPart({
  name: 'hyperbolic-pairwise',
  help: 'cross entropy of distances in the Poincaré ball (Ermolov et al. 2022)',
  usesTuples: false,
  learns: false,
  differs:
    'as the authors (hyp_metric); `average` divides as HIER does. Classes may be of different sizes and in any order. Not in pytorch-metric-learning',
  options,
  build: (options) => new HyperbolicPairwiseLoss(options),
});
