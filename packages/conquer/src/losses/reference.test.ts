import { F, Generator, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { withDefaults } from '../part.js';
import { batchRows, type Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import { AngularLoss } from './angular.js';
import { ContrastiveLoss } from './contrastive.js';
import { HistogramLoss } from './histogram.js';
import { KantorovMarginLoss } from './kantorov-margin.js';
import type { Loss } from './loss.js';
import { losses } from './losses.js';
import { MarginLoss } from './margin.js';
import { MultiClassNPairLoss } from './multi-class-n-pair.js';
import { MultiSimilarityLoss } from './multi-similarity.js';
import { NPairsLoss } from './npairs.js';
import { SnrLoss } from './snr.js';
import { TripletLoss } from './triplet.js';
import { TripletAllLoss } from './triplet-all.js';
import { TripletSemihardLoss } from './triplet-semihard.js';

// A batch of 7 compared with 13 rows: 5 others, the batch in another order, and an earlier embedding of an image of it.
const generator = new Generator(5);
const unit = (rows: number) => F.normalize(randn([rows, 6], { dtype: 'float64', generator }));
const x = unit(7);
const anchors = batchRows(x, Int32Array.of(0, 0, 0, 1, 1, 2, 2));
const order = [3, 0, 6, 1, 5, 2, 4];
const y = tensor(
  [unit(5), x.indexSelect(0, tensor(Int32Array.from(order), { dtype: 'int64' })), unit(1)].flatMap(
    (rows) => rows.tolist() as number[][],
  ),
  { dtype: 'float64' },
);
const reference: Rows = {
  embeddings: y,
  labels: Int32Array.of(0, 1, 2, 3, 1, ...order.map((row) => anchors.labels[row]!), 1),
  imageIds: Int32Array.of(100, 101, 102, 103, 104, ...order, 3),
};
const tuples: Tuples = {
  anchors: Int32Array.of(0, 1, 3, 5, 5, 6),
  positives: Int32Array.of(0, 6, 1, 2, 7, 9),
  negatives: Int32Array.of(3, 1, 2, 12, 0, 4),
};

// The losses written out, pair by pair, on plain numbers.
const [a, r] = [x, y].map((rows) => rows.tolist() as number[][]) as [number[][], number[][]];
const all = <T>(items: Iterable<T>, of: (item: T) => number) => [...items].map(of);
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: number[]) => sum(values) / values.length;
const hinge = (value: number) => Math.max(0, value);
const dot = (p: number[], q: number[]) => sum(p.map((value, i) => value * q[i]!));
const square = (p: number[], q: number[], shift = 0) => sum(p.map((v, i) => (v - q[i]! + shift) ** 2));
const s = (i: number, j: number) => dot(a[i]!, r[j]!);
/** PyTorch's pairwise_distance. */
const d = (i: number, j: number) => Math.sqrt(square(a[i]!, r[j]!, 1e-6));
/** That of pairwiseDistances. */
const D = (i: number, j: number) => Math.sqrt(Math.max(1e-4, square(a[i]!, r[j]!)));
const rowsOfR = [...r.keys()];
const isSame = (i: number, j: number) => anchors.imageIds[i] === reference.imageIds[j];
const isPositive = (i: number, j: number) => anchors.labels[i] === reference.labels[j] && !isSame(i, j);
const isNegative = (i: number, j: number) => anchors.labels[i] !== reference.labels[j];
const positives = (i: number) => rowsOfR.filter((j) => isPositive(i, j));
const negatives = (i: number) => rowsOfR.filter((j) => isNegative(i, j));
const pairs = [...a.keys()].flatMap((i) => positives(i).map((p) => [i, p] as const));
const triples = [...tuples.anchors].map((i, t) => [i, tuples.positives[t]!, tuples.negatives[t]!] as const);

const variance = (values: number[]) => mean(values.map((value) => (value - mean(values)) ** 2));
const difference = (p: number[], q: number[]) => p.map((value, i) => value - q[i]!);

/** Share of each node of a histogram with nodes -1, 0 and 1. */
const histogram = (values: number[]) =>
  [-1, 0, 1].map((node) => mean(values.map((value) => hinge(1 - Math.abs(value - node)))));

const written: [string, Loss, () => number][] = [
  [
    'contrastive',
    new ContrastiveLoss({ posMargin: 0.1, negMargin: 1.2 }),
    () =>
      mean(all(triples, ([i, p]) => hinge(d(i, p) - 0.1))) +
      mean(all(triples, ([i, , n]) => hinge(1.2 - d(i, n)))),
  ],
  [
    'triplet',
    new TripletLoss({ margin: 0.5, averageNonZeroOnly: false }),
    () => mean(all(triples, ([i, p, n]) => hinge(d(i, p) - d(i, n) + 0.5))),
  ],
  [
    'margin',
    new MarginLoss({ beta: 1, margin: 0.5, numClasses: 4, nu: 0 }),
    () => {
      const far = (i: number, j: number) => Math.sqrt(square(a[i]!, r[j]!) + 1e-8);
      const values = triples.flatMap(([i, p, n]) => [hinge(far(i, p) - 1 + 0.5), hinge(1 - far(i, n) + 0.5)]);
      return sum(values) / values.filter((value) => value > 0).length;
    },
  ],
  [
    'snr',
    new SnrLoss({ margin: 0.5, regLambda: 0.1, averageNonZeroOnly: false }),
    () => {
      const noise = (i: number, j: number) => variance(difference(a[i]!, r[j]!)) / variance(a[i]!);
      const push = mean(all(triples, ([i, p, n]) => hinge(noise(i, p) - noise(i, n) + 0.5)));
      return push + 0.1 * mean(all(triples, ([i]) => Math.abs(sum(a[i]!))));
    },
  ],
  [
    'triplet-all',
    new TripletAllLoss({ margin: 0.3 }),
    () => mean(pairs.flatMap(([i, p]) => negatives(i).map((n) => hinge(D(i, p) - D(i, n) + 0.3)))),
  ],
  [
    'triplet-all as dcesml',
    new TripletAllLoss({ margin: 0.3, compat: 'dcesml' }),
    () =>
      mean(
        pairs.flatMap(([i, p]) =>
          rowsOfR.filter((n) => isNegative(i, n) || isSame(i, n)).map((n) => hinge(D(i, p) - D(i, n) + 0.3)),
        ),
      ),
  ],
  [
    'triplet-semihard',
    new TripletSemihardLoss({ margin: 0.3 }),
    () =>
      mean(
        all(pairs, ([i, p]) => {
          const away = all(negatives(i), (n) => D(i, n));
          const outside = away.filter((distance) => distance > D(i, p));
          const chosen = outside.length > 0 ? Math.min(...outside) : Math.max(...away);
          return hinge(D(i, p) - chosen + 0.3);
        }),
      ),
  ],
  [
    'multi-similarity',
    new MultiSimilarityLoss(),
    () =>
      mean(
        all(a.keys(), (i) => {
          const most = Math.max(...all(negatives(i), (n) => s(i, n)));
          const least = Math.min(...all(positives(i), (p) => s(i, p)));
          const pull = all(positives(i), (p) => (s(i, p) - 0.1 < most ? Math.exp(-2 * (s(i, p) - 0.5)) : 0));
          const push = all(negatives(i), (n) => (s(i, n) + 0.1 > least ? Math.exp(40 * (s(i, n) - 0.5)) : 0));
          return Math.log1p(sum(pull)) / 2 + Math.log1p(sum(push)) / 40;
        }),
      ),
  ],
  [
    'npairs',
    new NPairsLoss({ alpha: 3 }),
    () =>
      mean(
        all(a.keys(), (i) => {
          const others = rowsOfR.filter((j) => !isSame(i, j));
          return (
            Math.log(sum(all(others, (j) => Math.exp(3 * s(i, j))))) -
            mean(all(positives(i), (p) => 3 * s(i, p)))
          );
        }),
      ),
  ],
  [
    'mc-npair',
    new MultiClassNPairLoss(),
    () =>
      mean(all(pairs, ([i, p]) => Math.log1p(sum(all(negatives(i), (n) => Math.exp(s(i, n) - s(i, p))))))),
  ],
  [
    'angular',
    new AngularLoss({ alphaDegrees: 40, angularWeight: 2 }),
    () => {
      const t = Math.tan((40 * Math.PI) / 180) ** 2;
      const f = (i: number, p: number, n: number) =>
        4 * t * (s(i, n) + dot(r[p]!, r[n]!)) - 2 * (1 + t) * s(i, p);
      const nPair = all(pairs, ([i, p]) =>
        Math.log1p(sum(all(negatives(i), (n) => Math.exp(s(i, n) - s(i, p))))),
      );
      const angles = all(pairs, ([i, p]) => Math.log1p(sum(all(negatives(i), (n) => Math.exp(f(i, p, n))))));
      return mean(nPair) + 2 * mean(angles);
    },
  ],
  [
    'histogram',
    new HistogramLoss({ numBins: 3 }),
    () => {
      const same = histogram(all(pairs, ([i, p]) => s(i, p)));
      const other = histogram([...a.keys()].flatMap((i) => all(negatives(i), (n) => s(i, n))));
      return sum(other.map((share, node) => share * sum(same.slice(0, node + 1))));
    },
  ],
  [
    'kantorov-margin',
    new KantorovMarginLoss({ distanceThreshold: 0.8 }),
    () => {
      const count = Math.max(1, Math.floor(pairs.length / a.length));
      const apart = [...a.keys()].flatMap((i) =>
        all(negatives(i), (n) => D(i, n))
          .filter((distance) => distance >= 0.8)
          .sort((p, q) => p - q)
          .slice(0, count)
          .map((distance) => hinge(0.2 - (distance - 1.2))),
      );
      const values = [...all(pairs, ([i, p]) => hinge(0.2 + D(i, p) - 1.2)), ...apart];
      return sum(values) / values.filter((value) => value > 0).length;
    },
  ],
];

const tuplesFor = (loss: Loss) => (loss.usesTuples ? tuples : null);

describe('a reference set of the batch and further rows', () => {
  it.each(written)('%s is the loss written out by pairs, own pairs in none', (_, loss, value) => {
    loss.to({ dtype: 'float64' });
    const wanted = value();
    expect(wanted).toBeGreaterThan(0);
    expect(loss.forward(anchors, reference, tuplesFor(loss)).item()).toBeCloseTo(wanted, 10);
  });

  it.each(written)('%s has the gradients of both', (_, loss) => {
    loss.to({ dtype: 'float64' });
    const [p, q] = [x, y].map((rows) => rows.clone().requiresGrad_()) as [Tensor, Tensor];
    const at = (from: Tensor, to: Tensor) =>
      loss.forward({ ...anchors, embeddings: from }, { ...reference, embeddings: to }, tuplesFor(loss));
    at(p, q).backward();
    const moved = (rows: Tensor, index: number, step: number) => {
      const numbers = rows.detach().toNumbers();
      numbers[index]! += step;
      return tensor(numbers, { shape: rows.shape, dtype: 'float64' });
    };
    const slope = (of: (step: number) => number) => (of(1e-6) - of(-1e-6)) / 2e-6;
    for (const index of [0, 9, 20, 33, 41]) {
      const wanted = slope((step) => scope(() => at(moved(x, index, step), y).item()));
      expect(p.grad!.toNumbers()[index]).toBeCloseTo(wanted, 6);
    }
    for (const index of [0, 7, 13, 27, 40, 55, 77]) {
      const wanted = slope((step) => scope(() => at(x, moved(y, index, step)).item()));
      expect(q.grad!.toNumbers()[index]).toBeCloseTo(wanted, 6);
    }
  });

  it('has no gradient of rows that were kept without one', () => {
    const p = x.clone().requiresGrad_();
    new MultiSimilarityLoss().forward({ ...anchors, embeddings: p }, reference).backward();
    expect(p.grad!.abs().sum().item()).toBeGreaterThan(0);
    expect(y.grad).toBeNull();
  });
});

describe.each(losses.map((loss) => [loss.name, loss] as const))('loss %s', (_, part) => {
  const make = () => {
    const context = { numClasses: 4, embeddingDim: 6, generator: new Generator(1), compat: null };
    return part
      .build(withDefaults('loss', part.options, {}) as never, context)
      .to({ dtype: 'float64' }) as Loss;
  };
  const inBatch = {
    ...tuples,
    positives: Int32Array.of(1, 2, 4, 6, 6, 5),
    negatives: Int32Array.of(3, 5, 0, 2, 4, 1),
  };

  it('is the same of the batch and of a copy of it', () => {
    const loss = make();
    const [whole, copied] = [1, 2].map((copies) => {
      const rows = { ...anchors, embeddings: x.clone().requiresGrad_() };
      const value = loss.forward(rows, copies === 1 ? rows : { ...rows }, loss.usesTuples ? inBatch : null);
      value.backward();
      return [value.item(), ...rows.embeddings.grad!.toNumbers()];
    }) as [number[], number[]];
    for (const [i, value] of whole.entries()) expect(copied[i]).toBeCloseTo(value, 10);
  });

  it('uses the reference set as it says', () => {
    const loss = make();
    const other = { ...reference, embeddings: unit(13) };
    const [value, moved] = [reference, other].map((rows) =>
      loss.forward(anchors, rows, tuplesFor(loss)).item(),
    );
    expect(value === moved).toBe(!loss.usesReference);
  });

  it('says what is wrong with a reference set', () => {
    const loss = make();
    if (!loss.usesReference) return;
    const refused = (rows: Partial<Rows>, message: RegExp) =>
      expect(() => loss.forward(anchors, { ...reference, ...rows }, tuplesFor(loss))).toThrow(message);
    refused(
      { embeddings: unit(12) },
      /reference set: expected a label for each of the 12 embeddings, got 13/,
    );
    refused(
      { embeddings: tensor(r.map((row) => row.slice(1))) },
      /expected embeddings \(N, 6\) as the anchors', got \(N, 5\)/,
    );
    refused(
      { imageIds: Int32Array.of(1) },
      /reference set: expected an image id for each of the 13 embeddings, got 1/,
    );
  });
});

describe('anchors without a positive', () => {
  // The first anchor meets its own image alone, the second the first's, the third another class.
  const three = batchRows(unit(3), Int32Array.of(0, 0, 1));

  it('are left out, with a gradient of 0', () => {
    const p = three.embeddings.clone().requiresGrad_();
    const own = { embeddings: p.narrow(0, 0, 1), labels: Int32Array.of(0), imageIds: Int32Array.of(0) };
    const rows = { ...three, embeddings: p };
    const npairs = new NPairsLoss().to({ dtype: 'float64' });
    expect(npairs.hasEnough(rows, own)).toBe(true);
    npairs.forward(rows, own).backward();
    expect([...p.grad!.toNumbers()].every(Number.isFinite)).toBe(true);
    for (const loss of [new TripletAllLoss(), new TripletSemihardLoss(), new MultiSimilarityLoss()]) {
      expect(loss.hasEnough(rows, own)).toBe(false);
      expect(() => loss.forward(rows, own)).toThrow(/skip such batches/);
    }
  });
});
