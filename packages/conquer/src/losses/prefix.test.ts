import { F, Generator, randn, scope } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { buildLoss } from '../experiment/build.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { batchRows } from '../rows.js';
import { EmbeddingNormLoss } from './embedding-norm.js';
import { Loss } from './loss.js';
import { MultiSimilarityLoss } from './multi-similarity.js';
import { PrefixLoss } from './prefix.js';
import type { SumLoss } from './sum.js';

const labels = Int32Array.of(0, 0, 1, 1, 2, 2, 3, 3);
const batch = () => randn([8, 12], { generator: new Generator(1), dtype: 'float64' });
const lossOf = (model: ExperimentInput['model'], more: ExperimentInput = {}, own: { loss?: Loss } = {}) =>
  buildLoss(resolveExperiment({ ...more, model: { embeddingDim: 12, ...model } }), 4, new Generator(2), {
    own,
  });

describe('a nested embedding', () => {
  it('has the weighted losses of its prefixes, each brought to length 1, and their gradients', () => {
    const loss = lossOf(
      { prefixes: [3, 8], prefixWeights: [0.5, 2] },
      { loss: { name: 'multi-similarity' } },
    ) as SumLoss;
    const gradientOf = (value: (rows: ReturnType<typeof batch>) => ReturnType<typeof batch>) => {
      const leaf = batch().requiresGrad_();
      const total = scope(() => value(leaf));
      total.backward();
      return { value: total.item(), gradient: leaf.grad!.toNumbers() };
    };
    const whole = new MultiSimilarityLoss();
    const got = gradientOf((leaf) => loss.ofBatch(F.normalize(leaf), labels));
    const wanted = gradientOf((leaf) => {
      const of = (dimensions: number, weight: number) =>
        whole.ofBatch(F.normalize(leaf.narrow(1, 0, dimensions)), labels).mul(weight);
      return of(12, 1).add(of(3, 0.5)).add(of(8, 2));
    });
    expect(got.value).toBeCloseTo(wanted.value, 12);
    for (const [i, value] of wanted.gradient.entries()) expect(got.gradient[i]).toBeCloseTo(value, 12);
  });

  it('gives a loss of raw rows their prefix, and one of proxies proxies of its size', () => {
    const raw = batch();
    const rows = { ...batchRows(F.normalize(raw), labels), raw };
    const cut = batchRows(F.normalize(raw.narrow(1, 0, 4)), labels);
    const norm = new EmbeddingNormLoss();
    expect(new PrefixLoss(norm, 4).forward(rows, rows).item()).toBeCloseTo(
      norm.forward({ ...cut, raw: raw.narrow(1, 0, 4) }).item(),
      12,
    );
    const proxies = lossOf({ prefixes: [4] }, { loss: { name: 'proxy-anchor' } });
    expect(Array.from(proxies.namedParameters(), ([name, { shape }]) => [name, shape])).toEqual([
      ['losses.0.proxies', [4, 12]],
      ['losses.1.loss.proxies', [4, 4]],
    ]);
  });

  it('is refused in words where it means nothing', () => {
    const refused = (model: ExperimentInput['model'], message: RegExp, more: ExperimentInput = {}) =>
      expect(() => lossOf(model, more)).toThrow(message);
    refused(
      { prefixes: [12] },
      /^model\.prefixes: expected each once, and fewer dimensions than .* \(12\), got 12/,
    );
    refused({ prefixes: [4, 4] }, /expected each once, .* got 4/);
    refused(
      { prefixes: [4], prefixWeights: [1, 2] },
      /^model\.prefixWeights: expected as many weights as .*, 1, got 2/,
    );
    const fixed = { prefixes: [4], masks: { kind: 'fixed' as const } };
    refused(fixed, /^model\.prefixes: fixed masks give each learner dimensions of its own/, {
      divide: { numLearners: 2 },
    });
    expect(lossOf(fixed, { divide: { numLearners: 1 } })).toBeInstanceOf(Loss);
  });
});
