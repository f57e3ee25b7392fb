import { F, Generator, grad, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';
import type { Loss, LossPart } from './loss.js';
import { losses } from './losses.js';

// What other libraries get wrong, of all losses.

const generator = new Generator(3);
const x = F.normalize(randn([8, 6], { generator }));
const labels = Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3);
const tuples = {
  anchors: Int32Array.of(0, 2, 4),
  positives: Int32Array.of(1, 3, 5),
  negatives: Int32Array.of(2, 4, 6),
};
const make = ({ options, build }: LossPart, numClasses = 4): Loss =>
  build(withDefaults('loss', options, {} as never), {
    numClasses,
    embeddingDim: 6,
    generator: new Generator(1),
    compat: null,
  });
const minedFor = (loss: Loss) => (loss.usesTuples ? tuples : null);
const all: LossPart[] = [...losses];

/** Losses with weights, proxies or centres of classes. */
const ofClasses = all.filter((part) => {
  const loss = make(part);
  return loss.parameters().some((parameter) => parameter.ndim >= 2);
});

it.each(ofClasses)('$name refuses classes that it has nothing for, in words', (part) => {
  const loss = make(part);
  for (const wrong of [4, -1, -100]) {
    const of = Int32Array.from(labels);
    of[5] = wrong;
    expect(() => loss.ofBatch(x, of, minedFor(loss))).toThrow(
      new RegExp(`expected labels 0…3 for its 4 classes, got ${wrong} in row 5`),
    );
  }
});

it.each(ofClasses)('$name has float32 weights, each of which moves', (part) => {
  const loss = make(part);
  // Centres of several a class move where they are near; so do all of one a class.
  loss.ofBatch(x, labels, minedFor(loss)).backward();
  for (const parameter of loss.parameters()) {
    expect(parameter.dtype).toBe('float32');
    const rows = parameter.grad!.view([4, -1]).abs().sum(1).toNumbers();
    expect([...rows].every((moved) => moved > 0)).toBe(true);
  }
});

it.each(all)('$name takes images of several labels, or refuses them in words', (part) => {
  const loss = make(part);
  const rows = { ...batchRows(x, labels), labelSets: Array.from(labels, (label) => Int32Array.of(label)) };
  const value = () => scope(() => loss.forward(rows, rows, minedFor(loss)).item());
  // A loss of tuples reads no labels: the miner does.
  if (loss.takesSeveralLabels || loss.usesTuples)
    expect(value()).toBeCloseTo(
      scope(() => loss.ofBatch(x, labels, minedFor(loss)).item()),
      5,
    );
  else expect(value).toThrow(/expected one label an image, got sets of labels, which it cannot take/);
});

it.each(all.filter((part) => !['recall-at-k'].includes(part.name)))(
  '$name gives a shuffled batch the same value',
  (part) => {
    const loss = make(part);
    const order = [3, 6, 0, 7, 1, 4, 2, 5];
    const place = (rows: Int32Array) => rows.map((row) => order.indexOf(row));
    const shuffled = x.indexSelect(0, tensor(Int32Array.from(order), { dtype: 'int64' }));
    const moved = {
      anchors: place(tuples.anchors),
      positives: place(tuples.positives),
      negatives: place(tuples.negatives),
    };
    const of = Int32Array.from(order, (row) => labels[row]!);
    const got = loss.ofBatch(shuffled, of, loss.usesTuples ? moved : null).item();
    const wanted = loss.ofBatch(x, labels, minedFor(loss)).item();
    expect(Math.abs(got - wanted)).toBeLessThan(1e-4 * Math.max(1, Math.abs(wanted)));
  },
);

it('one near pair of two classes leaves all anchors their tuples, in 512 dimensions', () => {
  const many = Int32Array.from({ length: 32 }, (_, i) => Math.floor(i / 4));
  const rows = F.normalize(randn([32, 512], { generator })).toNumbers();
  // The fifth row at a distance of 0.3 from the first, of another class.
  const near = F.normalize(randn([1, 512], { generator })).toNumbers();
  for (let d = 0; d < 512; d++) rows[4 * 512 + d] = rows[d]! + 0.3 * near[d]!;
  const embeddings = F.normalize(tensor(rows, { shape: [32, 512], dtype: 'float32' }));
  const found = new DistanceWeightedMiner({ random: new Random(1) }).mine(batchRows(embeddings, many));
  expect(new Set(found.anchors).size).toBe(32);
});

/** Losses that compare the rows of a batch with one another. */
const ofBatches = all.filter((part) => !part.usesTuples && make(part).usesReference);

const rowsOf = (rows: readonly (readonly number[])[]) =>
  tensor(rows.flat(), { shape: [rows.length, rows[0]!.length] }).requiresGrad_();
const unit = (at: number) => Array.from({ length: 6 }, (_, d) => (d === at ? 1 : 0));
const labelsOf = (numClasses: number, each: number) =>
  Int32Array.from({ length: numClasses * each }, (_, row) => Math.floor(row / each));

/** The value, once it and the gradient are seen to be finite; null where the batch is to be skipped. */
function finiteValue(loss: Loss, embeddings: Tensor, of: Int32Array): number | null {
  return scope(() => {
    const x = F.normalize(embeddings);
    const rows = { ...batchRows(x, of), raw: embeddings };
    if (!loss.hasEnough(rows, rows)) return null;
    const value = loss.forward(rows, rows, null);
    const [gradient] = grad(value, [embeddings]) as [Tensor];
    expect(Number.isFinite(value.item())).toBe(true);
    expect([...gradient.toNumbers()].every(Number.isFinite)).toBe(true);
    return value.item();
  });
}

/** The most that a perfect embedding costs, in which nothing is ranked wrong; recall@k's is that of its sigmoids at rank 1. */
const ofPerfect: Record<string, number> = {
  'fast-ap': 0.02,
  'smooth-ap': 0.02,
  histogram: 0.02,
  'recall-at-k': 0.25,
};

describe.each(ofBatches)('$name has a finite value and gradient', (part) => {
  it.each([
    [2, 4],
    [4, 2],
    [3, 3],
    [6, 2],
  ])('of a perfect embedding of %i classes of %i', (numClasses, each) => {
    const of = labelsOf(numClasses, each);
    const embeddings = rowsOf(Array.from(of, (label) => unit(label)));
    const value = finiteValue(make(part, 8), embeddings, of);
    const most = ofPerfect[part.name];
    if (most !== undefined) expect(Math.abs(value as number)).toBeLessThan(most);
    if (part.name === 'sup-con') expect(value).toBeCloseTo(Math.log(each - 1), 2); // its floor
  });

  it('of one class, of each class alone, or skips the batch', () => {
    for (const of of [new Int32Array(8), Int32Array.from({ length: 8 }, (_, row) => row)])
      finiteValue(make(part, 8), x.clone().requiresGrad_(), of);
  });

  it('of one positive pair, with one image of another class', () => {
    const three = x.narrow(0, 0, 3).clone().requiresGrad_();
    const value = finiteValue(make(part, 8), three, Int32Array.of(0, 0, 1));
    expect(value).not.toBe(null);
  });

  it('of a batch that is one point', () => {
    finiteValue(make(part, 8), rowsOf(Array.from(labels, () => unit(0))), labels);
  });
});

it.each(all.filter(({ options }) => 'mined' in options.shape))(
  '$name makes a loss of exactly one positive and one negative pair of a miner',
  (part) => {
    const context = { numClasses: 4, embeddingDim: 6, generator: new Generator(1), compat: null };
    const loss = part.build(withDefaults('loss', part.options, { mined: true } as never), context);
    const mined = {
      positiveAnchors: Int32Array.of(0),
      positives: Int32Array.of(1),
      negativeAnchors: Int32Array.of(0),
      negatives: Int32Array.of(2),
    };
    // The pair is far apart, the other near: there is something to learn.
    const rows = rowsOf([unit(0), unit(1), [0.99, 0.1, 0, 0, 0, 0], unit(2)]);
    const value = loss.ofBatch(F.normalize(rows), Int32Array.of(0, 0, 1, 1), mined).item();
    expect(Number.isFinite(value)).toBe(true);
    expect(value).toBeGreaterThan(0);
  },
);
