import { F, Generator, randn } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { buildLoss } from '../experiment/build.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { batchRows } from '../rows.js';
import { CircleLoss } from './circle.js';
import { KoLeoLoss } from './koleo.js';
import { ProxyAnchorLoss } from './proxy-anchor.js';
import { SumLoss } from './sum.js';
import { TripletLoss } from './triplet.js';

const x = F.normalize(randn([6, 4], { dtype: 'float64', generator: new Generator(1) }));
const labels = Int32Array.of(0, 0, 1, 1, 2, 2);
const pairs = {
  positiveAnchors: Int32Array.of(0, 2),
  positives: Int32Array.of(1, 3),
  negativeAnchors: Int32Array.of(0, 0, 2),
  negatives: Int32Array.of(4, 5, 1),
};
const tuples = {
  anchors: Int32Array.of(0, 0, 2),
  positives: Int32Array.of(1, 1, 3),
  negatives: Int32Array.of(4, 5, 1),
};

describe('a sum of losses', () => {
  it('is the weighted sum, each term with what it takes of the miner', () => {
    const terms = [
      { loss: new TripletLoss({ margin: 2 }), weight: 2 },
      { loss: new CircleLoss({ mined: true }), weight: 0.5 },
      { loss: new KoLeoLoss(), weight: -1 },
    ];
    const sum = new SumLoss(terms);
    const wanted =
      2 * terms[0]!.loss.ofBatch(x, labels, tuples).item() +
      0.5 * terms[1]!.loss.ofBatch(x, labels, pairs).item() -
      terms[2]!.loss.ofBatch(x, labels).item();
    expect(sum.ofBatch(x, labels, pairs).item()).toBeCloseTo(wanted, 10);
    expect(sum.usesTuples).toBe(true);
  });

  it('goes on with the terms that have something, of which one is enough', () => {
    const sum = new SumLoss([
      { loss: new CircleLoss(), weight: 1 },
      { loss: new KoLeoLoss(), weight: 1 },
    ]);
    const alone = batchRows(x, Int32Array.of(0, 1, 2, 3, 4, 5));
    expect(sum.hasEnough(alone, alone)).toBe(true);
    expect(sum.forward(alone, alone).item()).toBe(new KoLeoLoss().forward(alone).item());
    expect(() => new SumLoss([])).toThrow(/at least one loss, got none/);
  });

  it('has the parameters of its terms', () => {
    const classes = { numClasses: 3, embeddingDim: 4 };
    const sum = new SumLoss([
      { loss: new KoLeoLoss(), weight: 1 },
      { loss: new ProxyAnchorLoss(classes), weight: 1 },
    ]);
    expect(Array.from(sum.namedParameters(), ([name]) => name)).toEqual(['losses.1.proxies']);
  });

  it('is a list in an experiment, with a mistake named by its place', () => {
    const experiment = resolveExperiment({
      loss: [
        { name: 'proxy-anchor', alpha: 16 },
        { name: 'koleo', weight: 0.1 },
      ],
    });
    expect(experiment.loss).toMatchObject([{ alpha: 16, margin: 0.1, weight: 1 }, { weight: 0.1 }]);
    const loss = buildLoss(experiment, 3, new Generator(1), {});
    expect(loss).toBeInstanceOf(SumLoss);
    expect((loss as SumLoss).weights).toEqual([1, 0.1]);
    const refused = (given: object[], message: RegExp) =>
      expect(() => resolveExperiment({ loss: given as never })).toThrow(message);
    refused(
      [{ name: 'proxy-anchor', alpha: -1 }],
      /^loss\.0\.alpha: expected a number of at least 0\.001, got -1/,
    );
    refused([{ name: 'koleo' }, { name: 'cirle' }], /^loss\.1\.name: expected one of .*did you mean/);
    refused([{ name: 'koleo', wieght: 1 }], /^loss\.0\.wieght: unknown option \(did you mean weight\?\)/);
    refused([], /^loss: /);
  });
});
