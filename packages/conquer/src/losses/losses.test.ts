import {
  F,
  type Generator,
  liveTensors,
  manualSeed,
  randn,
  scope,
  type Tensor,
  tensor,
} from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { FlexibleTripletMiner } from '../miners/flexible-triplet.js';
import { Random } from '../random.js';
import { batchRows, labelled } from '../rows.js';
import type { Tuples } from '../tuples.js';
import { AngularLoss } from './angular.js';
import { ArcFaceLoss } from './arcface.js';
import { ContrastiveLoss } from './contrastive.js';
import { HistogramLoss } from './histogram.js';
import { KantorovMarginLoss } from './kantorov-margin.js';
import type { Loss } from './loss.js';
import { MarginLoss } from './margin.js';
import { MultiClassNPairLoss } from './multi-class-n-pair.js';
import { MultiSimilarityLoss } from './multi-similarity.js';
import { NormalizedSoftmaxLoss } from './normalized-softmax.js';
import { NPairsLoss } from './npairs.js';
import { ProxyNcaLoss } from './proxy-nca.js';
import { SnrLoss } from './snr.js';
import { SoftTripleLoss } from './soft-triple.js';
import { TripletLoss } from './triplet.js';
import { TripletAllLoss } from './triplet-all.js';
import { TripletSemihardLoss } from './triplet-semihard.js';

// The values themselves are compared with the original implementation in golden/golden.test.ts.

const hasEnough = (loss: Loss, of: Int32Array) => loss.hasEnough(labelled(of), labelled(of));

const labels = Int32Array.of(0, 0, 1, 1, 2);
const tuples: Tuples = {
  anchors: Int32Array.of(0, 1, 2, 3),
  positives: Int32Array.of(1, 0, 3, 2),
  negatives: Int32Array.of(2, 4, 0, 4),
};
const none: Tuples = { anchors: new Int32Array(), positives: new Int32Array(), negatives: new Int32Array() };

const classes = { numClasses: 3, embeddingDim: 6 };

function embeddings(): Tensor {
  return F.normalize(randn([5, 6], { dtype: 'float64' }));
}

const losses: Record<string, () => Loss> = {
  margin: () => new MarginLoss({ numClasses: 3, nu: 0.01 }),
  'normalized softmax': () => new NormalizedSoftmaxLoss({ numClasses: 3, embeddingDim: 6 }),
  triplet: () => new TripletLoss({ margin: 1 }),
  'triplet-all': () => new TripletAllLoss({ margin: 1 }),
  'triplet-semihard': () => new TripletSemihardLoss({ margin: 1 }),
  npairs: () => new NPairsLoss(),
  'kantorov-margin': () => new KantorovMarginLoss({ distanceThreshold: 0 }),
  contrastive: () => new ContrastiveLoss(),
  'triplet on squared distances': () => new TripletLoss({ margin: 1, squared: true }),
  snr: () => new SnrLoss({ margin: 1 }),
  'mc-npair': () => new MultiClassNPairLoss({ l2Weight: 0.01 }),
  angular: () => new AngularLoss({ alphaDegrees: 40, l2Weight: 0.01 }),
  'multi-similarity': () => new MultiSimilarityLoss({ margin: 2 }),
  histogram: () => new HistogramLoss({ numBins: 3 }),
  'proxy-nca': () => new ProxyNcaLoss(classes),
  arcface: () => new ArcFaceLoss(classes),
  'soft-triple': () => new SoftTripleLoss({ ...classes, centresPerClass: 3 }),
};

describe('every loss', () => {
  for (const [name, make] of Object.entries(losses)) {
    it(`${name} has the gradient of its value`, () => {
      manualSeed(3);
      const loss = make().to({ dtype: 'float64' });
      const x = embeddings().requiresGrad_();
      loss.ofBatch(x, labels, tuples).backward();
      const gradient = x.grad?.toNumbers() as Float64Array;
      expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0);
      const at = (index: number, step: number) =>
        scope(() => {
          const moved = x.detach().toNumbers();
          moved[index] = (moved[index] as number) + step;
          return loss.ofBatch(tensor(moved, { shape: [5, 6] }), labels, tuples).item();
        });
      for (const index of [0, 7, 13, 22, 29]) {
        const slope = (at(index, 1e-6) - at(index, -1e-6)) / 2e-6;
        expect(gradient[index]).toBeCloseTo(slope, 6);
      }
    });

    it(`${name} keeps nothing alive`, () => {
      const loss = make();
      const x = embeddings().to('float32');
      const before = liveTensors();
      loss.ofBatch(x, labels, tuples).dispose();
      expect(liveTensors()).toBe(before);
    });

    if ([...make().namedParameters()].length === 0) continue;
    it(`${name} has the gradients of its parameters`, () => {
      manualSeed(4);
      const loss = make().to({ dtype: 'float64' });
      const x = embeddings();
      loss.ofBatch(x, labels, tuples).backward();
      for (const [parameter, value] of loss.namedParameters()) {
        const gradient = value.grad?.toNumbers() as Float64Array;
        expect(Math.max(...gradient.map(Math.abs)), parameter).toBeGreaterThan(0);
        const flat = value.detach().reshape([-1]);
        const at = (index: number, step: number) =>
          scope(() => {
            flat.narrow(0, index, 1).add_(step);
            const moved = loss.ofBatch(x, labels, tuples).item();
            flat.narrow(0, index, 1).sub_(step);
            return moved;
          });
        for (let index = 0; index < gradient.length; index += 5) {
          const slope = (at(index, 1e-6) - at(index, -1e-6)) / 2e-6;
          expect(gradient[index], parameter).toBeCloseTo(slope, 6);
        }
      }
    });
  }
});

describe('labels that do not fit', () => {
  const withClasses = Object.entries(losses).filter(([name]) =>
    ['margin', 'normalized softmax', 'proxy-nca', 'arcface', 'soft-triple'].includes(name),
  );
  for (const [name, make] of withClasses) {
    it(`${name} refuses classes that there are not`, () => {
      for (const bad of [-100, -1, 3, 2 ** 31 - 1]) {
        const message = new RegExp(`expected labels 0…2 for its 3 classes, got ${bad} in row 3`);
        const some = Int32Array.of(0, 0, 1, bad, 2);
        expect(() => make().ofBatch(embeddings().to('float32'), some, tuples)).toThrow(message);
      }
    });
  }

  it('are refused by the negatives of a boundary a class too', () => {
    const distance = new MarginLoss({ numClasses: 3 }).zeroLossDistance() as (label: number) => number;
    expect(() => distance(-100)).toThrow(/expected labels 0…2 for its 3 classes, got -100/);
  });

  for (const [name, make] of Object.entries(losses)) {
    it(`${name} refuses labels of another length or kind`, () => {
      const x = embeddings().to('float32');
      expect(() => make().ofBatch(x, Int32Array.of(0, 0, 1, 1), tuples)).toThrow(
        /expected a label for each of the 5 embeddings, got 4/,
      );
      const floats: unknown = Float32Array.of(0, 0, 1.5, 1, 2);
      expect(() => make().ofBatch(x, floats as Int32Array, tuples)).toThrow(
        /expected labels as an Int32Array, got Float32Array/,
      );
      expect(() => make().ofBatch(x.sum(1), labels, tuples)).toThrow(/expected embeddings \(B, D\)/);
    });
  }

  it('are refused by the miners', () => {
    const random = new Random(1);
    const miners = [
      new DistanceWeightedMiner({ random, nonZeroLossCutoff: 1.4 }),
      new EasyPositiveMiner(),
      new FlexibleTripletMiner({ positive: 'hard', negative: 'hard', random }),
    ];
    for (const miner of miners)
      expect(() => miner.mine(batchRows(embeddings(), Int32Array.of(0, 0, 1, 1, 2, 2)))).toThrow(
        /miner: expected a label for each of the 5 embeddings, got 6/,
      );
  });
});

describe('a batch without anything to learn from', () => {
  it('is an error, not a zero', () => {
    const x = embeddings();
    expect(() => new MarginLoss().ofBatch(x, labels, none)).toThrow(/at least one tuple/);
    expect(() => new TripletLoss().ofBatch(x, labels, null)).toThrow(/at least one tuple/);
    for (const loss of [new TripletAllLoss(), new TripletSemihardLoss(), new KantorovMarginLoss()]) {
      for (const bad of [Int32Array.of(0, 0, 0, 0, 0), Int32Array.of(0, 1, 2, 3, 4)]) {
        expect(hasEnough(loss, bad)).toBe(false);
        expect(() => loss.ofBatch(x, bad)).toThrow(/skip such batches/);
      }
      expect(hasEnough(loss, labels)).toBe(true);
    }
    expect(() => new NPairsLoss().ofBatch(x, Int32Array.of(0, 1, 2, 3, 4))).toThrow(/no positive pair/);
  });
});

describe('MarginLoss', () => {
  it('starts its boundaries at beta in float32, one or one a class', () => {
    expect([...new MarginLoss().beta.toNumbers()]).toEqual([Math.fround(1.2)]);
    expect([...new MarginLoss({ beta: 1, numClasses: 3 }).beta.toNumbers()]).toEqual([1, 1, 1]);
    expect([...new MarginLoss().stateDict().keys()]).toEqual(['beta']);
  });

  it('is zero, with a zero gradient, when every pair is on its side', () => {
    const x = tensor(
      [
        [1, 0],
        [1, 0],
        [-1, 0],
        [-1, 0],
      ],
      { requiresGrad: true },
    );
    const pairs = { anchors: Int32Array.of(0), positives: Int32Array.of(1), negatives: Int32Array.of(2) };
    const value = new MarginLoss({ nu: 1 }).ofBatch(x, Int32Array.of(0, 0, 1, 1), pairs);
    expect(value.item()).toBe(0);
    value.backward();
    expect(x.grad?.toNumbers().every((g) => g === 0)).toBe(true);
  });
});

describe('what a loss tells miners', () => {
  const at = (loss: Loss, label: number) => {
    const distance = loss.zeroLossDistance();
    return typeof distance === 'number' ? distance : distance(label);
  };

  it('follows a learned beta, except as dcesml does', () => {
    for (const [compat, wanted] of [
      [null, [1.5, 2.5]],
      ['dcesml', [1.5, 1.5]],
    ] as const) {
      const loss = new MarginLoss({ beta: 1, margin: 0.5, numClasses: 2, compat });
      loss.beta.detach().narrow(0, 1, 1).fill_(2);
      expect([at(loss, 0), at(loss, 1)]).toEqual(wanted);
    }
  });

  it('is the margin of its own, or the usual', () => {
    const bounds = (loss: Loss) => [at(loss, 0), loss.semihardMargin()];
    expect(bounds(new TripletLoss({ margin: 0.3 }))).toEqual([1.4, 0.3]);
    expect(bounds(new SnrLoss({ margin: 0.4 }))).toEqual([1.4, 0.4]);
    expect(bounds(new MarginLoss({ margin: 0.5, beta: 1 }))).toEqual([1.5, 0.5]);
    expect(bounds(new ContrastiveLoss({ negMargin: 0.9 }))).toEqual([1.4, 0.2]);
  });
});

describe('TripletAllLoss', () => {
  it('leaves the anchor out of its negatives, unless compatible with dcesml', () => {
    // Positives coincide, negatives are far: no triplet has a loss.
    const x = tensor([
      [1, 0],
      [1, 0],
      [-1, 0],
      [-1, 0],
    ]);
    const two = Int32Array.of(0, 0, 1, 1);
    expect(new TripletAllLoss({ margin: 0.2 }).ofBatch(x, two).item()).toBe(0);
    expect(new TripletAllLoss({ margin: 0.2, compat: 'dcesml' }).ofBatch(x, two).item()).toBeGreaterThan(0);
  });
});

describe('NormalizedSoftmaxLoss', () => {
  it('smooths labels, and draws its weights from the generator', () => {
    manualSeed(1);
    const make = (labelSmoothing: number, generator?: Generator) =>
      new NormalizedSoftmaxLoss({
        numClasses: 3,
        embeddingDim: 6,
        temperature: 0.5,
        labelSmoothing,
        generator,
      });
    const plain = make(0);
    const smooth = make(0.3);
    smooth.loadStateDict(plain.stateDict());
    const x = embeddings().to('float32');
    // Smoothing s mixes in the mean over the classes of the loss towards each.
    const towards = [0, 1, 2].map((c) => plain.ofBatch(x, new Int32Array(5).fill(c)).item());
    const mean = towards.reduce((a, b) => a + b) / 3;
    const wanted = 0.7 * plain.ofBatch(x, labels).item() + 0.3 * mean;
    expect(smooth.ofBatch(x, labels).item()).toBeCloseTo(wanted, 5);
  });
});

describe('KantorovMarginLoss', () => {
  it('takes the nearest negative beyond the threshold', () => {
    const angles = [0, 0.5, 0.2, 1, Math.PI];
    const x = tensor(angles.map((a) => [Math.cos(a), Math.sin(a)]));
    const forThreshold = (distanceThreshold: number) =>
      new KantorovMarginLoss({ alpha: 2, distanceThreshold }).ofBatch(x, Int32Array.of(0, 0, 1, 2, 3)).item();
    expect(forThreshold(0.5)).not.toBeCloseTo(forThreshold(0), 3);
    // Beyond 1.9 there are only the negatives at the opposite side: for images 0, 1 and 2 it is 4, for 4 it is 1.
    const chord = (a: number, b: number) => 2 * Math.sin(Math.abs(a - b) / 2);
    const positive = 2 + chord(0, 0.5) - 1.2;
    const negative = (a: number) => 2 - (chord(a, Math.PI) - 1.2);
    expect(forThreshold(1.9)).toBeCloseTo(
      (2 * positive + negative(0) + negative(0.5) + negative(0.2) + negative(0.5)) / 6,
      4,
    );
  });
});

describe('NPairsLoss', () => {
  it('takes a batch in which one class alone has a pair', () => {
    const value = new NPairsLoss().ofBatch(embeddings(), Int32Array.of(0, 0, 1, 2, 3)).item();
    expect(Number.isFinite(value)).toBe(true);
  });
});

describe('KantorovMarginLoss', () => {
  it('takes the first of 40 equally near negatives, also with one farther away before them', () => {
    for (const farther of [false, true]) {
      // Two of one class, and each of the others of its own.
      const points = [
        [1, 0],
        [1, 0],
        ...(farther ? [[-1, 0]] : []),
        ...Array.from({ length: 40 }, () => [0, 1]),
      ];
      const x = tensor(points, { dtype: 'float64' }).requiresGrad_();
      const own = Int32Array.from(points.keys()).map((i) => Math.max(0, i - 1));
      new KantorovMarginLoss({ beta: 2 }).ofBatch(x, own).backward();
      const gradient = x.grad?.tolist() as number[][];
      const [first, ...others] = gradient.slice(farther ? 3 : 2);
      expect(others.filter((row) => row[0] !== others[0]?.[0])).toEqual([]);
      expect(first?.[0]).not.toBe(others[0]?.[0]);
    }
  });
});
