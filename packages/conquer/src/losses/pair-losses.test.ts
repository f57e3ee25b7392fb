import { F, Generator, rand, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { areAlike, batchRows, type Labelled, type Rows, similarityMatrix } from '../rows.js';
import { CentroidTripletLoss } from './centroid-triplet.js';
import { CircleLoss } from './circle.js';
import { FastApLoss } from './fast-ap.js';
import { HyperbolicPairwiseLoss } from './hyperbolic-pairwise.js';
import type { Loss } from './loss.js';
import { NtXentLoss } from './nt-xent.js';
import { RankedListLoss } from './ranked-list.js';
import { RecallAtKLoss } from './recall-at-k.js';
import { RoadmapLoss } from './roadmap.js';
import { SmoothApLoss } from './smooth-ap.js';
import { SupConLoss } from './sup-con.js';
import { ThresholdConsistentMarginLoss } from './threshold-consistent-margin.js';

// Each loss written out, pair by pair, on plain numbers: of a batch, of a reference set, and of what batches may come to.

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: number[]) => (values.length === 0 ? 0 : sum(values) / values.length);
const meanOfActive = (values: number[]) => mean(values.filter((value) => value > 0));
const hinge = (value: number) => Math.max(0, value);
const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
const logSumExp = (values: number[]) => Math.log(sum(values.map(Math.exp)));

/** Anchors and what they are compared with, on plain numbers. */
function plain(anchors: Rows, reference: Rows) {
  const [a, r] = [anchors, reference].map(({ embeddings }) => embeddings.tolist() as number[][]) as [
    number[][],
    number[][],
  ];
  const rows = [...r.keys()];
  const isSame = (i: number, j: number) => anchors.imageIds[i] === reference.imageIds[j];
  const isAlike = (i: number, j: number) => areAlike(anchors, i, reference, j);
  const square = (i: number, j: number) => sum(a[i]!.map((value, d) => (value - r[j]![d]!) ** 2));
  return {
    a,
    r,
    anchors: [...a.keys()],
    size: r.length,
    s: (i: number, j: number) => sum(a[i]!.map((value, d) => value * r[j]![d]!)),
    square,
    positives: (i: number) => rows.filter((j) => isAlike(i, j) && !isSame(i, j)),
    negatives: (i: number) => rows.filter((j) => !isAlike(i, j) && !isSame(i, j)),
    /** Its own image too. */
    ofClass: (i: number) => rows.filter((j) => isAlike(i, j) || isSame(i, j)),
    rows,
    labels: reference.labels,
    labelOf: (i: number) => anchors.labels[i]!,
  };
}
type Plain = ReturnType<typeof plain>;

const hasPairs = ({ anchors, positives, negatives }: Plain) =>
  anchors.some((i) => positives(i).length > 0) && anchors.some((i) => negatives(i).length > 0);

const supCon = (p: Plain, t: number) =>
  p.anchors.map((i) => {
    const positives = p.positives(i);
    if (positives.length === 0) return 0;
    const all = [...positives, ...p.negatives(i)].map((j) => p.s(i, j) / t);
    return logSumExp(all) - mean(positives.map((j) => p.s(i, j) / t));
  });

/** 1 - the mean over anchors of the mean over their class of rank in the class / rank among all. */
const withoutAp = (p: Plain, rank: (i: number, j: number, among: number[]) => number) =>
  1 -
  mean(
    p.anchors
      .filter((i) => p.ofClass(i).length > 0)
      .map((i) => mean(p.ofClass(i).map((j) => rank(i, j, p.ofClass(i)) / rank(i, j, p.rows)))),
  );

const written: [string, Loss, (p: Plain) => number][] = [
  [
    'circle',
    new CircleLoss({ margin: 0.3, gamma: 8 }),
    (p) =>
      meanOfActive(
        p.anchors
          .filter((i) => p.positives(i).length > 0 && p.negatives(i).length > 0)
          .map((i) => {
            const pull = p.positives(i).map((j) => -8 * hinge(1.3 - p.s(i, j)) * (p.s(i, j) - 0.7));
            const push = p.negatives(i).map((j) => 8 * hinge(p.s(i, j) + 0.3) * (p.s(i, j) - 0.3));
            return Math.log1p(Math.exp(logSumExp(pull) + logSumExp(push)));
          }),
      ),
  ],
  ['sup-con', new SupConLoss({ temperature: 0.4 }), (p) => (hasPairs(p) ? meanOfActive(supCon(p, 0.4)) : 0)],
  [
    'sup-con as the authors',
    new SupConLoss({ temperature: 0.4, form: 'authors' }),
    (p) => (mean(supCon(p, 0.4)) * 0.4) / 0.07,
  ],
  [
    'nt-xent',
    new NtXentLoss({ temperature: 0.4 }),
    (p) =>
      hasPairs(p)
        ? mean(
            p.anchors.flatMap((i) =>
              p.positives(i).map((j) => {
                const own = p.s(i, j) / 0.4;
                return logSumExp([own, ...p.negatives(i).map((n) => p.s(i, n) / 0.4)]) - own;
              }),
            ),
          )
        : 0,
  ],
  [
    'nt-xent of squared distances',
    new NtXentLoss({ temperature: 0.4, distance: 'squared' }),
    (p) =>
      hasPairs(p)
        ? mean(
            p.anchors.flatMap((i) =>
              p.positives(i).map((j) => {
                const own = -p.square(i, j) / 0.4;
                return logSumExp([own, ...p.negatives(i).map((n) => -p.square(i, n) / 0.4)]) - own;
              }),
            ),
          )
        : 0,
  ],
  [
    'threshold-consistent-margin',
    new ThresholdConsistentMarginLoss({ positiveWeight: 2, negativeMargin: 0.1 }),
    (p) => {
      const far = p.anchors.flatMap((i) => p.positives(i).map((j) => 0.9 - p.s(i, j)));
      const near = p.anchors.flatMap((i) => p.negatives(i).map((j) => p.s(i, j) - 0.1));
      return 2 * mean(far.filter((value) => value >= 0)) + mean(near.filter((value) => value >= 0));
    },
  ],
  [
    'ranked-list',
    new RankedListLoss({ positiveTemperature: 1, negativeTemperature: 3, negativeShare: 0.6 }),
    (p) =>
      mean(
        p.anchors.map((i) => {
          const d = (j: number) => Math.sqrt(p.square(i, j));
          const weighed = (beyond: number[], t: number) => {
            const active = beyond.filter((value) => value > 0);
            const weights = active.map((value) => Math.exp(t * value));
            return sum(active.map((value, k) => value * weights[k]!)) / (sum(weights) + p.size * 1e-5);
          };
          const far = p.positives(i).map((j) => d(j) - 0.8);
          const near = p.negatives(i).map((j) => 1.2 - d(j));
          return 0.4 * weighed(far, 1) + 0.6 * weighed(near, 3);
        }),
      ),
  ],
  [
    'fast-ap',
    new FastApLoss({ numBins: 7 }),
    (p) => {
      const of = p.anchors.filter((i) => p.positives(i).length > 0);
      const histogram = (i: number, rows: number[]) =>
        Array.from({ length: 8 }, (_, node) =>
          sum(rows.map((j) => hinge(1 - Math.abs((p.square(i, j) * 7) / 4 - node)))),
        );
      const precision = (i: number) => {
        const own = histogram(i, p.positives(i));
        const all = histogram(i, [...p.positives(i), ...p.negatives(i)]);
        const until = (values: number[], node: number) => sum(values.slice(0, node + 1));
        const terms = own.map((share, node) =>
          until(all, node) === 0 ? 0 : (share * until(own, node)) / until(all, node),
        );
        return sum(terms) / p.positives(i).length;
      };
      return of.length === 0 ? 0 : 1 - mean(of.map(precision));
    },
  ],
  [
    'smooth-ap',
    new SmoothApLoss({ temperature: 0.1 }),
    (p) =>
      withoutAp(
        p,
        (i, j, among) =>
          1 + sum(among.filter((k) => k !== j).map((k) => sigmoid((p.s(i, k) - p.s(i, j)) / 0.1))),
      ),
  ],
  [
    'recall-at-k',
    new RecallAtKLoss({ temperature: 0.1, ks: [1, 3], kTemperatures: [0.5, 1] }),
    (p) => {
      const of = p.anchors.filter((i) => p.positives(i).length > 0);
      const rank = (i: number, j: number) =>
        1 + sum(p.rows.filter((k) => k !== j).map((k) => sigmoid((p.s(i, k) - p.s(i, j)) / 0.1)));
      const recall = (i: number, given: number, t: number) => {
        const k = Math.min(given, p.size);
        const found = sum(p.positives(i).map((j) => sigmoid((k - rank(i, j)) / t)));
        return Math.min(k, found) / Math.min(k, p.positives(i).length);
      };
      return of.length === 0 ? 0 : 1 - mean(of.flatMap((i) => [recall(i, 1, 0.5), recall(i, 3, 1)]));
    },
  ],
  [
    'roadmap',
    new RoadmapLoss({ temperature: 0.1, slope: 10, delta: 0.1, calibrationWeight: 0.5, negativeMargin: 0.1 }),
    (p) => {
      const far = p.anchors.flatMap((i) => p.positives(i).map((j) => hinge(0.9 - p.s(i, j))));
      const near = p.anchors.flatMap((i) => p.negatives(i).map((j) => hinge(p.s(i, j) - 0.1)));
      const above = (x: number) =>
        x <= 0 ? sigmoid(x / 0.1) : x <= 0.1 ? 0.5 + sigmoid(x / 0.1) : 10 * (x - 0.1) + 1.44;
      const ranking = withoutAp(p, (i, j, among) => {
        const x = (k: number) => p.s(i, k) - p.s(i, j);
        const own = p.ofClass(i).filter((k) => k !== j && x(k) >= 0).length;
        const others = among.length === p.rows.length ? p.negatives(i) : [];
        return 1 + own + sum(others.map((k) => above(x(k))));
      });
      return 0.5 * (meanOfActive(far) + meanOfActive(near)) + ranking;
    },
  ],
];

const generator = new Generator(5);
const unit = (rows: number) => F.normalize(randn([rows, 5], { dtype: 'float64', generator }));
const x = unit(7);
const labels = Int32Array.of(0, 0, 0, 1, 1, 2, 3);
const batch = batchRows(x, labels);
const rowsAt = (from: Tensor, order: number[]) =>
  from.indexSelect(0, tensor(Int32Array.from(order), { dtype: 'int64' }));
const order = [3, 0, 6, 1, 5, 2, 4];
/** Others, the batch in another order, and an earlier embedding of an image of it. */
const reference: Rows = {
  embeddings: tensor(
    [unit(5), rowsAt(x, order), unit(1)].flatMap((rows) => rows.tolist() as number[][]),
    { dtype: 'float64' },
  ),
  labels: Int32Array.of(0, 1, 2, 3, 1, ...order.map((row) => labels[row]!), 1),
  imageIds: Int32Array.of(100, 101, 102, 103, 104, ...order, 3),
};
const perfect = tensor(
  Array.from(labels, (label) => Array.from({ length: 5 }, (_, d) => Number(d === label))),
  { dtype: 'float64' },
);

const situations: [string, Rows, Rows][] = [
  ['a batch of classes of different sizes', batch, batch],
  ['a reference set', batch, reference],
  ['a perfect embedding', batchRows(perfect, labels), batchRows(perfect, labels)],
  ...(
    [
      ['one class', [0, 0, 0, 0, 0, 0, 0]],
      ['each class alone', [0, 1, 2, 3, 4, 5, 6]],
      ['one positive pair', [0, 0, 2, 3, 4, 5, 6]],
      ['one image of another class', [0, 0, 0, 0, 0, 0, 6]],
    ] as const
  ).map(([what, of]): [string, Rows, Rows] => {
    const rows = batchRows(x, Int32Array.from(of));
    return [what, rows, rows];
  }),
];

const lossOf = (loss: Loss, anchors: Rows, of: Rows) => scope(() => loss.forward(anchors, of, null).item());

describe.each(written)('%s', (name, loss, value) => {
  it.each(situations)('is the loss written out, of %s', (what, anchors, of) => {
    const [p, q] = [anchors, of].map((rows) => rows.embeddings.clone().requiresGrad_()) as [Tensor, Tensor];
    const from = { ...anchors, embeddings: p };
    const to = of === anchors ? from : { ...of, embeddings: q };
    const result = loss.forward(from, to, null);
    // Equal distances fall to one side of a step by rounding.
    const digits = name === 'fast-ap' && what === 'a perfect embedding' ? 6 : 9;
    expect(result.item()).toBeCloseTo(value(plain(anchors, of)), digits);
    result.backward();
    for (const gradient of [p.grad, q.grad])
      expect([...(gradient?.toNumbers() ?? [])].every(Number.isFinite)).toBe(true);
  });

  it('is the same of a shuffled batch', () => {
    const shuffled = batchRows(
      rowsAt(x, order),
      Int32Array.from(order, (row) => labels[row]!),
    );
    expect(lossOf(loss, shuffled, shuffled)).toBeCloseTo(lossOf(loss, batch, batch), 10);
  });

  it('has the gradients of its value, of anchors and reference set', () => {
    const [p, q] = [x, reference.embeddings].map((rows) => rows.clone().requiresGrad_()) as [Tensor, Tensor];
    const at = (from: Tensor, to: Tensor) =>
      loss.forward({ ...batch, embeddings: from }, { ...reference, embeddings: to }, null);
    at(p, q).backward();
    if (name === 'circle') return; // of which the weights have none
    const moved = (rows: Tensor, index: number, step: number) => {
      const numbers = rows.detach().toNumbers();
      numbers[index]! += step;
      return tensor(numbers, { shape: rows.shape, dtype: 'float64' });
    };
    const slope = (of: (step: number) => number) => (of(1e-6) - of(-1e-6)) / 2e-6;
    for (const index of [0, 9, 20, 33]) {
      const wanted = slope((step) => scope(() => at(moved(x, index, step), reference.embeddings).item()));
      // FastAP reads squared distances off inner products, for rows of length 1.
      expect(p.grad!.toNumbers()[index]).toBeCloseTo(wanted, 5);
    }
    for (const index of [0, 13, 27, 55, 62]) {
      const wanted = slope((step) => scope(() => at(x, moved(reference.embeddings, index, step)).item()));
      expect(q.grad!.toNumbers()[index]).toBeCloseTo(wanted, 5);
    }
  });

  it('takes images of several labels, or a similarity of theirs', () => {
    const sets: Labelled['labelSets'] = [[0, 1], [0], [1], [1, 2], [2], [0, 3], [4]].map((set) =>
      Int32Array.from(set),
    );
    const several = { ...batch, labelSets: sets };
    expect(loss.takesSeveralLabels).toBe(true);
    expect(loss.hasEnough(several, several)).toBe(true);
    const wanted = value(plain(several, several));
    expect(lossOf(loss, several, several)).toBeCloseTo(wanted, 9);
    const shared = sets.flatMap((own) =>
      sets.map((other) => Number(own.some((label) => other.includes(label)))),
    );
    const alike = { ...batch, similarity: similarityMatrix(shared) };
    expect(lossOf(loss, alike, alike)).toBeCloseTo(wanted, 9);
  });

  it('has nothing to learn from, and says so, where there is no pair', () => {
    const alone = batchRows(x.narrow(0, 0, 1), Int32Array.of(0));
    expect(loss.hasEnough(alone, alone)).toBe(false);
  });
});

it.each([
  ['centroid-triplet', new CentroidTripletLoss()],
  ['hyperbolic-pairwise', new HyperbolicPairwiseLoss()],
  ['hyperbolic-pairwise on unit vectors', new HyperbolicPairwiseLoss({ curvature: 0 })],
])('%s is finite, whatever the batch, and takes one label an image alone', (_, loss) => {
  for (const [, anchors, of] of situations) {
    const p = anchors.embeddings.clone().requiresGrad_();
    const rows = { ...anchors, embeddings: p };
    const value = loss.forward(rows, of === anchors ? rows : of);
    value.backward();
    expect([value.item(), ...p.grad!.toNumbers()].every(Number.isFinite)).toBe(true);
  }
  const several = { ...batch, labelSets: Array.from(labels, (label) => Int32Array.of(label)) };
  expect(() => loss.forward(several, several)).toThrow(/expected one label an image, got sets of labels/);
});

describe('centroid-triplet', () => {
  it.each([true, false])('is the loss written out (squared: %s)', (squared) => {
    const loss = new CentroidTripletLoss({ squared, margin: 0.5 });
    for (const of of [batch, reference]) {
      const p = plain(batch, of);
      const centre = (rows: number[]) =>
        Array.from({ length: 5 }, (_, d) => mean(rows.map((j) => p.r[j]![d]!)));
      const away = (i: number, c: number[]) => {
        const square = sum(p.a[i]!.map((value, d) => (value - c[d]!) ** 2));
        return squared ? square : Math.sqrt(square);
      };
      const classes = [...new Set(p.labels)];
      const terms = p.anchors.flatMap((i) =>
        p.positives(i).length === 0
          ? []
          : classes
              .filter((label) => label !== p.labelOf(i))
              .map((label) => {
                const others = p.rows.filter((j) => p.labels[j] === label);
                return hinge(away(i, centre(p.positives(i))) - away(i, centre(others)) + 0.5);
              }),
      );
      expect(loss.forward(batch, of).item()).toBeCloseTo(meanOfActive(terms), 9);
    }
  });
});

describe('nt-xent of two views', () => {
  it('wants a batch of two halves', () => {
    const loss = new NtXentLoss({ positives: 'two-views' });
    expect(() => loss.ofBatch(x, labels)).toThrow(/expected a batch of two halves, got 7 rows/);
  });
});

describe('circle over the batch', () => {
  it('takes each pair once', () => {
    const p = plain(batch, batch);
    const once = (of: (i: number) => number[]) =>
      p.anchors.flatMap((i) => of(i).flatMap((j) => (j > i ? [p.s(i, j)] : [])));
    const pull = once(p.positives).map((s) => -8 * hinge(1.3 - s) * (s - 0.7));
    const push = once(p.negatives).map((s) => 8 * hinge(s + 0.3) * (s - 0.3));
    const wanted = Math.log1p(Math.exp(logSumExp(pull) + logSumExp(push)));
    const loss = new CircleLoss({ margin: 0.3, gamma: 8, over: 'batch' });
    expect(loss.ofBatch(x, labels).item()).toBeCloseTo(wanted, 10);
  });
});

describe('recall-at-k with mixup', () => {
  it('is that of the batch with a mixture of each two images of a class', () => {
    const loss = new RecallAtKLoss({ mixup: true, temperature: 0.1, generator: new Generator(3) });
    const again = new Generator(3);
    const pairs = [
      [0, 1],
      [0, 2],
      [1, 2],
      [3, 4],
    ] as const;
    const shares = [...rand([pairs.length, 1], { dtype: 'float64', generator: again }).toNumbers()];
    const rows = x.tolist() as number[][];
    const mixed = pairs.map(([i, j], k) =>
      rows[i]!.map((value, d) => shares[k]! * value + (1 - shares[k]!) * rows[j]![d]!),
    );
    const extended = batchRows(
      tensor([...rows, ...mixed], { dtype: 'float64' }),
      Int32Array.from([...labels, ...pairs.map(([i]) => labels[i]!)]),
    );
    // No k beyond the images that are there.
    const ks = [1, 2, 4, 7, 7];
    const plainly = new RecallAtKLoss({ temperature: 0.1, ks });
    expect(loss.ofBatch(x, labels).item()).toBeCloseTo(lossOf(plainly, extended, extended), 10);
  });
});
