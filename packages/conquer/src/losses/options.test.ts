import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { F, Generator, manualSeed, noGrad, randn, type Tensor, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { labelled } from '../rows.js';
import type { Tuples } from '../tuples.js';
import { AngularLoss } from './angular.js';
import { ArcFaceLoss } from './arcface.js';
import { ContrastiveLoss } from './contrastive.js';
import { HistogramLoss } from './histogram.js';
import type { Loss } from './loss.js';
import { MarginLoss } from './margin.js';
import { MultiClassNPairLoss } from './multi-class-n-pair.js';
import { MultiSimilarityLoss } from './multi-similarity.js';
import { PairContrastiveLoss } from './pair-contrastive.js';
import { ProxyNcaLoss } from './proxy-nca.js';
import { SnrLoss } from './snr.js';
import { SoftTripleLoss } from './soft-triple.js';
import { TripletLoss } from './triplet.js';
import { TripletAllLoss } from './triplet-all.js';

// The losses of the Revisiting collection. Most values are compared with it in golden/golden.test.ts; here are the
// options and edges that its numbers do not reach.

const hasEnough = (loss: Loss, of: Int32Array) => loss.hasEnough(labelled(of), labelled(of));

const labels = Int32Array.of(0, 0, 0, 1, 1, 2, 2);
const tuples: Tuples = {
  anchors: Int32Array.of(0, 1, 3, 5, 6),
  positives: Int32Array.of(1, 2, 4, 6, 5),
  negatives: Int32Array.of(3, 5, 0, 2, 4),
};
const classes = () => ({ numClasses: 3, embeddingDim: 6, generator: new Generator(1) });

function embeddings(rows = labels.length): Tensor {
  manualSeed(2);
  return F.normalize(randn([rows, 6], { dtype: 'float64' }));
}

const value = (loss: Loss, x = embeddings(), of = labels) =>
  loss
    .to({ dtype: 'float64' })
    .ofBatch(x, of, loss.usesTuples ? tuples : null)
    .item();

const unit = (...degrees: number[]) =>
  tensor(
    degrees.map((a) => [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)]),
    { dtype: 'float64' },
  );

describe('every option changes the value', () => {
  it.each<[string, Loss, Loss]>([
    ['contrastive posMargin', new ContrastiveLoss(), new ContrastiveLoss({ posMargin: 0.3 })],
    ['contrastive negMargin', new ContrastiveLoss(), new ContrastiveLoss({ negMargin: 1.5 })],
    ['triplet squared', new TripletLoss({ margin: 1 }), new TripletLoss({ margin: 1, squared: true })],
    ['snr margin', new SnrLoss(), new SnrLoss({ margin: 0.5 })],
    ['snr regLambda', new SnrLoss(), new SnrLoss({ regLambda: 0.1 })],
    ['snr averageNonZeroOnly', new SnrLoss(), new SnrLoss({ averageNonZeroOnly: false })],
    ['margin compat', new MarginLoss({ margin: 1 }), new MarginLoss({ margin: 1, compat: 'revisiting-dml' })],
    ['mc-npair l2Weight', new MultiClassNPairLoss(), new MultiClassNPairLoss({ l2Weight: 0.1 })],
    ['angular alphaDegrees', new AngularLoss(), new AngularLoss({ alphaDegrees: 40 })],
    ['angular angularWeight', new AngularLoss(), new AngularLoss({ angularWeight: 1 })],
    ['angular l2Weight', new AngularLoss(), new AngularLoss({ l2Weight: 0.1 })],
    ['multi-similarity posWeight', new MultiSimilarityLoss(), new MultiSimilarityLoss({ posWeight: 3 })],
    ['multi-similarity negWeight', new MultiSimilarityLoss(), new MultiSimilarityLoss({ negWeight: 10 })],
    ['multi-similarity margin', new MultiSimilarityLoss(), new MultiSimilarityLoss({ margin: 2 })],
    ['multi-similarity margin null', new MultiSimilarityLoss(), new MultiSimilarityLoss({ margin: null })],
    [
      'pair-contrastive distance',
      new PairContrastiveLoss(),
      new PairContrastiveLoss({ distance: 'euclidean' }),
    ],
    ['pair-contrastive posMargin', new PairContrastiveLoss(), new PairContrastiveLoss({ posMargin: 0.2 })],
    ['pair-contrastive negMargin', new PairContrastiveLoss(), new PairContrastiveLoss({ negMargin: 0.1 })],
    ['pair-contrastive form', new PairContrastiveLoss(), new PairContrastiveLoss({ form: 'xbm' })],
    ['pair-contrastive mined', new PairContrastiveLoss(), new PairContrastiveLoss({ mined: true })],
    ['triplet-all distance', new TripletAllLoss(), new TripletAllLoss({ distance: 'cosine' })],
    [
      'triplet-all averageNonZeroOnly',
      new TripletAllLoss(),
      new TripletAllLoss({ averageNonZeroOnly: true }),
    ],
    [
      'multi-similarity mined',
      new MultiSimilarityLoss({ margin: null }),
      new MultiSimilarityLoss({ margin: null, mined: true }),
    ],
    ['multi-similarity threshold', new MultiSimilarityLoss(), new MultiSimilarityLoss({ threshold: 0 })],
    ['histogram numBins', new HistogramLoss({ numBins: 5 }), new HistogramLoss({ numBins: 9 })],
    ['proxy-nca scale', new ProxyNcaLoss(classes()), new ProxyNcaLoss({ ...classes(), scale: 2 })],
    [
      'arcface angularMargin',
      new ArcFaceLoss(classes()),
      new ArcFaceLoss({ ...classes(), angularMargin: 0.1 }),
    ],
    ['arcface featureScale', new ArcFaceLoss(classes()), new ArcFaceLoss({ ...classes(), featureScale: 64 })],
    [
      'arcface compat',
      new ArcFaceLoss(classes()),
      new ArcFaceLoss({ ...classes(), compat: 'revisiting-dml' }),
    ],
    ['soft-triple scale', new SoftTripleLoss(classes()), new SoftTripleLoss({ ...classes(), scale: 10 })],
    ['soft-triple margin', new SoftTripleLoss(classes()), new SoftTripleLoss({ ...classes(), margin: 0.2 })],
    ['soft-triple gamma', new SoftTripleLoss(classes()), new SoftTripleLoss({ ...classes(), gamma: 1 })],
    ['soft-triple tau', new SoftTripleLoss(classes()), new SoftTripleLoss({ ...classes(), tau: 0 })],
  ])('%s', (_, standard, other) => {
    expect(Math.abs(value(standard) - value(other))).toBeGreaterThan(1e-4);
  });

  it('the same generator draws the same weights', () => {
    for (const make of [ProxyNcaLoss, ArcFaceLoss, SoftTripleLoss]) {
      expect(value(new make(classes()))).toBe(value(new make(classes())));
      expect(value(new make(classes()))).not.toBe(
        value(new make({ ...classes(), generator: new Generator(2) })),
      );
    }
  });
});

describe('a batch without anything to learn from', () => {
  const wholeBatch = [
    new MultiClassNPairLoss(),
    new AngularLoss(),
    new MultiSimilarityLoss(),
    new HistogramLoss(),
  ];

  it('of one class or of single images is an error, and said beforehand', () => {
    for (const loss of wholeBatch) {
      expect(hasEnough(loss, labels)).toBe(true);
      for (const bad of [new Int32Array(7), Int32Array.of(0, 1, 2, 3, 4, 5, 6)]) {
        expect(hasEnough(loss, bad)).toBe(false);
        expect(() => loss.ofBatch(embeddings(), bad)).toThrow(/skip such batches/);
      }
    }
  });

  it('without tuples is an error', () => {
    const none = { anchors: new Int32Array(), positives: new Int32Array(), negatives: new Int32Array() };
    for (const loss of [new ContrastiveLoss(), new SnrLoss()]) {
      expect(() => loss.ofBatch(embeddings(), labels, none)).toThrow(/at least one tuple/);
      expect(() => loss.ofBatch(embeddings(), labels, null)).toThrow(/at least one tuple/);
    }
  });

  it('is still one for losses with class weights', () => {
    for (const loss of [
      new ArcFaceLoss(classes()),
      new SoftTripleLoss(classes()),
      new ProxyNcaLoss(classes()),
    ]) {
      expect(hasEnough(loss, new Int32Array(7))).toBe(true);
      expect(Number.isFinite(value(loss, embeddings(), new Int32Array(7)))).toBe(true);
    }
    expect(() => new ProxyNcaLoss({ numClasses: 1, embeddingDim: 6 })).toThrow(/at least 2 classes, got 1/);
  });
});

describe('equal and opposite images', () => {
  const every = (): Loss[] => [
    new ContrastiveLoss(),
    new TripletLoss({ squared: true }),
    new SnrLoss(),
    new MultiClassNPairLoss(),
    new AngularLoss(),
    new MultiSimilarityLoss({ negWeight: 500 }),
    new HistogramLoss(),
    new ProxyNcaLoss(classes()),
    new ArcFaceLoss(classes()),
    new SoftTripleLoss(classes()),
  ];

  it('have finite losses and gradients in float32', () => {
    const same = Array.from({ length: 7 }, () => [1, 0, 0, 0, 0, 0]);
    const flat = Array.from({ length: 7 }, () => new Array<number>(6).fill(1 / Math.sqrt(6)));
    const opposite = same.map((row, i) => row.map((x) => (i % 2 ? -x : x)));
    for (const rows of [same, flat, opposite]) {
      for (const loss of every()) {
        // Class weights along the images too.
        for (const [, weights] of loss.namedParameters())
          noGrad(() => weights.fill_(0).select(-1, 0).fill_(1));
        const x = tensor(rows, { requiresGrad: true });
        const result = loss.ofBatch(x, labels, loss.usesTuples ? tuples : null);
        result.backward();
        const numbers = [result.item(), ...(x.grad?.toNumbers() ?? [NaN])];
        for (const [, weights] of loss.namedParameters()) numbers.push(...(weights.grad?.toNumbers() ?? []));
        expect(numbers.every(Number.isFinite), loss.constructor.name).toBe(true);
      }
    }
  });
});

describe('MultiSimilarityLoss', () => {
  it('is the mean over the batch, or over the anchors with hard pairs', () => {
    // Images 0, 1 meet hard negatives; 5 and 6 are far from all others.
    const x = unit(0, 20, 5, 30, 25, 180, 180);
    const of = Int32Array.of(0, 0, 1, 1, 1, 2, 2);
    const all = value(new MultiSimilarityLoss(), x, of);
    const active = value(new MultiSimilarityLoss({ averageNonZeroOnly: true }), x, of);
    expect(active / all).toBeCloseTo(7 / 5, 10);
  });

  it('gives 0, with a zero gradient, when no pair is hard', () => {
    const x = unit(0, 0, 90, 90).requiresGrad_();
    const loss = new MultiSimilarityLoss({ averageNonZeroOnly: true });
    const result = loss.ofBatch(x, Int32Array.of(0, 0, 1, 1));
    result.backward();
    expect(result.item()).toBe(0);
    expect(x.grad?.toNumbers().every((g) => g === 0)).toBe(true);
  });
});

describe('MultiClassNPairLoss and AngularLoss', () => {
  it('take every positive pair of the batch, or those of the tuples with their negatives', () => {
    const x = unit(0, 30, 100, 140, 250);
    const of = Int32Array.of(0, 0, 1, 1, 2);
    const cos = (a: number, b: number) => x.select(0, a).mul(x.select(0, b)).sum().item();
    const term = (a: number, p: number, negatives: number[]) =>
      Math.log1p(negatives.reduce((sum, n) => sum + Math.exp(cos(a, n) - cos(a, p)), 0));
    const loss = new MultiClassNPairLoss();
    const all = term(0, 1, [2, 3, 4]) + term(1, 0, [2, 3, 4]) + term(2, 3, [0, 1, 4]) + term(3, 2, [0, 1, 4]);
    expect(loss.ofBatch(x, of).item()).toBeCloseTo(all / 4, 12);
    const some = {
      anchors: Int32Array.of(0, 2, 0),
      positives: Int32Array.of(1, 3, 1),
      negatives: Int32Array.of(3, 4, 2),
    };
    const wanted = (term(0, 1, [2, 3]) + term(2, 3, [4])) / 2;
    expect(loss.ofBatch(x, of, some).item()).toBeCloseTo(wanted, 12);
    // The angular term with tan² 40°, for one pair.
    const t = Math.tan((40 * Math.PI) / 180) ** 2;
    const f = (n: number) => 4 * t * (cos(2, n) + cos(3, n)) - 2 * (1 + t) * cos(2, 3);
    const pair = { anchors: Int32Array.of(2), positives: Int32Array.of(3), negatives: Int32Array.of(4) };
    const angular = new AngularLoss({ alphaDegrees: 40, angularWeight: 3 }).ofBatch(x, of, pair).item();
    expect(angular).toBeCloseTo(3 * Math.log1p(Math.exp(f(4))) + term(2, 3, [4]), 12);
  });
});

describe('ArcFaceLoss', () => {
  const logit = (degrees: number, angularMargin: number) => {
    const loss = new ArcFaceLoss({ numClasses: 2, embeddingDim: 2, angularMargin, featureScale: 1 });
    loss.to({ dtype: 'float64' });
    // Own class at 0°, the other at 90°: loss = log(1 + exp(cos 90° side - own)).
    noGrad(() => loss.classWeights.copy_(unit(0, 90)));
    const result = loss.ofBatch(unit(degrees), Int32Array.of(0)).item();
    return Math.cos(((degrees - 90) * Math.PI) / 180) - Math.log(Math.expm1(result));
  };

  it('adds the margin to the angle, also beyond 90 degrees', () => {
    for (const degrees of [10, 80, 120]) {
      expect(logit(degrees, 0.5)).toBeCloseTo(Math.cos((degrees * Math.PI) / 180 + 0.5), 10);
    }
  });

  it('goes on decreasing where angle and margin exceed 180 degrees', () => {
    const values = [140, 150, 155, 170, 180].map((degrees) => logit(degrees, 0.5));
    expect(values).toEqual([...values].sort((a, b) => b - a));
    expect(logit(180, 0.5)).toBeCloseTo(-1 - 0.5 * Math.sin(0.5), 10);
  });
});

describe('HistogramLoss', () => {
  it('is 0 for parted and 1 for inverted similarities', () => {
    const of = Int32Array.of(0, 0, 1, 1);
    expect(value(new HistogramLoss(), unit(0, 0, 180, 180), of)).toBeCloseTo(0, 12);
    expect(value(new HistogramLoss(), unit(0, 180, 0, 180), of)).toBeGreaterThan(0.45);
    expect(() => new HistogramLoss({ numBins: 1 })).toThrow(
      /numBins: expected an integer of at least 2, got 1/,
    );
  });
});

describeWithPython('SoftTripleLoss', ['torch'], () => {
  it('is that of the paper', () => {
    const x = embeddings();
    const options = { ...classes(), centresPerClass: 4, scale: 15, margin: 0.05, gamma: 0.3, tau: 0.4 };
    const loss = new SoftTripleLoss(options).to({ dtype: 'float64' });
    const result = loss.ofBatch(x, labels);
    result.backward();
    const peer = runPython(
      `
import torch
x = input['x']
w = input['centres'].clone().requires_grad_()
y = torch.tensor(input['labels'])
u = w / w.norm(dim=2, keepdim=True)
total = 0
for i in range(len(x)):
    s = []
    for c in range(3):
        z = u[c] @ x[i]
        s.append((torch.softmax(z / 0.3, 0) * z).sum())
    s = torch.stack(s)
    own = torch.exp(15 * (s[y[i]] - 0.05))
    others = sum(torch.exp(15 * s[c]) for c in range(3) if c != y[i])
    total = total - torch.log(own / (own + others)) / len(x)
for c in range(3):
    for t in range(4):
        for v in range(t + 1, 4):
            total = total + 0.4 / (3 * 4 * 3) * torch.sqrt(2 - 2 * (u[c, t] @ u[c, v]) + 1e-5)
total.backward()
output = {'value': total.item(), 'gradient': w.grad.flatten().tolist()}
`,
      { x, centres: loss.centres.detach(), labels: [...labels] },
    ) as { value: number; gradient: number[] };
    expect(result.item()).toBeCloseTo(peer.value, 12);
    const gradient = loss.centres.grad?.toNumbers() ?? [];
    peer.gradient.forEach((wanted, i) => {
      expect(gradient[i]).toBeCloseTo(wanted, 12);
    });
  });
});
