import { F, Generator, randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { KnownPairs } from '../image-pairs.js';
import { withDefaults } from '../part.js';
import { labelled, type Rows } from '../rows.js';
import { asPairs } from '../tuples.js';
import { ContrastiveLoss } from './contrastive.js';
import type { LossPart } from './loss.js';
import { losses } from './losses.js';
import { MarginLoss } from './margin.js';
import { PairContrastiveLoss } from './pair-contrastive.js';
import { SumLoss } from './sum.js';
import { ThresholdConsistentMarginLoss } from './threshold-consistent-margin.js';

const all: readonly LossPart[] = losses;

/** Six images: 0-1 and 2-3 the same, 0-2 and 1-4 different; of 5, and of all other pairs, nothing is known. */
const pairs = new KnownPairs(
  { first: Int32Array.of(0, 3, 2, 1), second: Int32Array.of(1, 2, 0, 4), same: Uint8Array.of(1, 1, 0, 0) },
  6,
);
const known: readonly (readonly [number, number])[] = [
  [0, 1],
  [2, 3],
  [0, 2],
  [1, 4],
];

function batch(seed = 3): Rows {
  const generator = new Generator(seed);
  const embeddings = F.normalize(randn([6, 5], { generator, dtype: 'float64' }))
    .detach()
    .requiresGrad_();
  // The labels are of no use: nothing may be read of them.
  return { embeddings, ...labelled(new Int32Array(6)), pairs };
}
const distancesIn = (rows: Rows) => {
  const lists = rows.embeddings.tolist() as number[][];
  return known.map(([a, b]) => Math.hypot(...lists[a]!.map((value, i) => value - lists[b]![i]!)));
};
const mined = pairs.among(labelled(new Int32Array(6)).imageIds, labelled(new Int32Array(6)).imageIds);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const above = (value: number) => Math.max(0, value);

it('lists what is known of rows, by their images, replicas too', () => {
  const ids = Int32Array.of(4, 1, 6 + 1, 5);
  const { positiveAnchors, negativeAnchors, negatives } = asPairs(pairs.among(ids, ids));
  expect(positiveAnchors).toHaveLength(0);
  expect([...negativeAnchors].map((anchor, i) => [anchor, negatives[i]])).toEqual([
    [0, 1],
    [0, 2],
    [1, 0],
    [2, 0],
  ]);
  expect([pairs.of(1, 0), pairs.of(4, 1), pairs.of(0, 3), pairs.of(5, 0)]).toEqual([true, false, null, null]);
});

it('the contrastive loss is the mean hinge of each kind, of known pairs alone', () => {
  const rows = batch();
  const [a, b, c, d] = distancesIn(rows) as [number, number, number, number];
  const value = new ContrastiveLoss({ posMargin: 0.1, negMargin: 1.5 }).forward(rows, rows, mined);
  const expected = mean([above(a - 0.1), above(b - 0.1)]) + mean([above(1.5 - c), above(1.5 - d)]);
  // PyTorch's pairwise_distance adds 1e-6 to each difference.
  expect(value.item()).toBeCloseTo(expected, 5);
  value.backward();
  expect(rows.embeddings.grad!.narrow(0, 5, 1).abs().max().item()).toBe(0);
  expect(rows.embeddings.grad!.narrow(0, 3, 1).abs().max().item()).toBeGreaterThan(0);
});

it('the margin loss divides by the pairs with a loss, each known pair counted alike', () => {
  const rows = batch();
  const loss = new MarginLoss({ margin: 0.4, beta: 1.2 });
  loss.to({ dtype: 'float64' });
  const [a, b, c, d] = distancesIn(rows) as [number, number, number, number];
  const terms = [above(a - 0.8), above(b - 0.8), above(1.6 - c), above(1.6 - d)].filter((term) => term > 0);
  expect(terms.length).toBeGreaterThan(1);
  expect(loss.forward(rows, rows, mined).item()).toBeCloseTo(mean(terms), 6);
});

it('losses of masks see both kinds, by any distance, and a sum all of its terms', () => {
  const rows = batch();
  const [a, b, c, d] = distancesIn(rows) as [number, number, number, number];
  const euclidean = new PairContrastiveLoss({ distance: 'euclidean', posMargin: 0.1, negMargin: 1.5 });
  const positive = (values: number[]) => mean(values.filter((value) => value > 0));
  const expected = positive([a - 0.1, b - 0.1]) + positive([1.5 - c, 1.5 - d].map(above));
  expect(euclidean.forward(rows, rows).item()).toBeCloseTo(expected, 4);
  const similarity = (distance: number) => 1 - distance ** 2 / 2;
  const tcm = new ThresholdConsistentMarginLoss({ positiveMargin: 0.9, negativeMargin: -1 });
  const wanted = mean([a, b].map((x) => 0.9 - similarity(x))) + mean([c, d].map((x) => similarity(x) + 1));
  expect(tcm.forward(rows, rows).item()).toBeCloseTo(wanted, 6);
  const sum = new SumLoss([
    { loss: new ContrastiveLoss(), weight: 2 },
    { loss: tcm, weight: 0.5 },
  ]);
  const each =
    2 * new ContrastiveLoss().forward(rows, rows, mined).item() + 0.5 * tcm.forward(rows, rows).item();
  expect(sum.forward(rows, rows, mined).item()).toBeCloseTo(each, 9);
});

it('one kind alone is a loss, and none is none', () => {
  const onlySame = new KnownPairs(
    { first: Int32Array.of(0), second: Int32Array.of(1), same: Uint8Array.of(1) },
    6,
  );
  const rows = { ...batch(), pairs: onlySame };
  for (const loss of [new ContrastiveLoss(), new MarginLoss({ beta: 0.1 })])
    expect(Number.isFinite(loss.forward(rows, rows, null).item())).toBe(true);
  const nothing = {
    ...batch(),
    pairs: new KnownPairs({ first: new Int32Array(), second: new Int32Array(), same: new Uint8Array() }, 6),
  };
  expect(() => new ContrastiveLoss().forward(nothing, nothing, null)).toThrow(/at least one known pair/);
  expect(new PairContrastiveLoss().hasEnough(nothing, nothing)).toBe(false);
});

it.each(all)('$name takes known pairs, or refuses them in words', (part) => {
  scope(() => {
    const context = { numClasses: 3, embeddingDim: 5, generator: new Generator(1), compat: null };
    const loss = part.build(withDefaults('loss', part.options, {}), context);
    loss.to({ dtype: 'float64' });
    const rows = {
      ...batch(),
      raw: tensor(batch(4).embeddings.tolist() as number[][], { dtype: 'float64' }),
    };
    const forward = () => loss.forward(rows, rows, loss.usesTuples ? mined : null);
    if (loss.takesKnownPairs) expect(Number.isFinite(forward().item())).toBe(true);
    else expect(forward).toThrow(/expected one label an image|pairs/);
  });
});
