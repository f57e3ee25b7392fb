import { F, Generator, randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
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
const make = ({ options, build }: LossPart): Loss =>
  build(withDefaults('loss', options, {} as never), {
    numClasses: 4,
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
