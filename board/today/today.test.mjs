import { F, Generator, noGrad, randn, scope, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { createModel } from '../../packages/conquer/dist/index.js';
import { Random } from '../../packages/conquer/dist/random.js';
import { heads } from './adapters.mjs';
import { distil, relationsOf } from './distill.mjs';
import { centresOf, maskedQueries } from './query-mask.mjs';

const generator = new Generator(1);
const lists = (rows) => rows.tolist();
const normalized = (row) => {
  const length = Math.hypot(...row);
  return row.map((x) => x / length);
};
const dot = (a, b) => a.reduce((sum, x, at) => sum + x * b[at], 0);

describe('adapters', () => {
  const build = heads[0].build({ branches: 2, width: 3 });

  it('begin as a linear layer', () => {
    const head = build({ featureSize: 5, embeddingDim: 4, generator });
    const x = randn([6, 5], { generator });
    const difference = scope(() => head.forward(x).sub(head.embedding.forward(x)).abs().max().item());
    expect(difference).toBeLessThan(1e-6);
    for (const one of [head, x]) one.dispose();
  });

  it('of a branch learn of its own dimensions alone', () => {
    const head = build({ featureSize: 5, embeddingDim: 4, generator });
    scope(() => {
      // The first two dimensions are the first branch's, as a fixed mask of two learners has them.
      head
        .forward(randn([6, 5], { generator }))
        .mul(tensor([1, 1, 0, 0]))
        .square()
        .sum()
        .backward();
    });
    const moved = head.branches.map(({ up }) =>
      up.weight.grad ? scope(() => up.weight.grad.abs().max().item()) : 0,
    );
    expect(moved[0]).toBeGreaterThan(0);
    expect(moved[1]).toBe(0);
    head.dispose();
  });

  it('refuse dimensions that are no multiple', () => {
    expect(() => build({ featureSize: 5, embeddingDim: 5, generator })).toThrow(
      'a multiple of 2 dimensions, got 5',
    );
  });
});

describe('the mask of the query', () => {
  it('is the mean of the masks, by how near the clusters are', () => {
    const rows = scope(() => F.normalize(randn([4, 3], { generator })));
    const centres = centresOf(rows, Int32Array.of(0, 0, 1, -1), 2);
    const [a, b, c] = lists(rows);
    const expected = [normalized(a.map((x, d) => (x + b[d]) / 2)), c];
    for (const [k, row] of lists(centres).entries())
      for (const [d, x] of row.entries()) expect(x).toBeCloseTo(expected[k][d], 5);
    const masks = tensor([
      [1, 0, 1],
      [0, 2, 1],
    ]);
    const found = maskedQueries(rows, centres, masks);
    for (const [q, row] of lists(rows).entries()) {
      const weights = expected.map((centre) => Math.exp(dot(row, centre) / 0.1));
      const sum = weights[0] + weights[1];
      const mask = lists(masks)[0].map((x, d) => (weights[0] * x + weights[1] * lists(masks)[1][d]) / sum);
      const wanted = normalized(row.map((x, d) => x * mask[d]));
      for (const [d, x] of lists(found)[q].entries()) expect(x).toBeCloseTo(wanted[d], 4);
    }
    for (const one of [rows, centres, masks, found]) one.dispose();
  });
});

describe('distillation', () => {
  it('takes cosines of a cluster from its learner, and others from the whole embedding', () => {
    const rows = randn([5, 4], { generator });
    const masks = tensor([
      [1, 1, 0, 0],
      [0, 0, 1, 1],
    ]);
    const clusters = Int32Array.of(0, 1, 0, 1, 1);
    const relations = relationsOf(rows, masks, clusters);
    const all = lists(rows);
    for (const [i, row] of lists(relations).entries())
      for (const [j, x] of row.entries()) {
        const under = (r) =>
          normalized(clusters[i] === clusters[j] ? r.map((y, d) => y * lists(masks)[clusters[i]][d]) : r);
        expect(x).toBeCloseTo(dot(under(all[i]), under(all[j])), 5);
      }
    for (const one of [rows, masks, relations]) one.dispose();
  });

  it('brings the whole embedding nearer to them', () => {
    const masks = { kind: 'fixed', numLearners: 2 };
    const model = createModel(
      { name: 'small-resnet', widths: [4, 8] },
      { embeddingDim: 6, generator, masks },
    );
    const features = randn([40, model.featureSize], { generator });
    const clusters = Int32Array.from({ length: 40 }, (_, at) => at % 2);
    const target = scope(() => {
      const { weight, bias } = model.embedding;
      return relationsOf(F.linear(features, weight, bias), model.learnerMasks.effective(), clusters);
    });
    const away = () =>
      scope(() =>
        noGrad(() => {
          const rows = F.normalize(model.embedding.forward(features));
          return rows.matmul(rows.t()).sub(target).square().mean().item();
        }),
      );
    const before = away();
    const random = new Random(1);
    distil(model, {
      steps: 60,
      learningRate: 0.01,
      batch: () => {
        const some = random.permutation(40).subarray(0, 20);
        return {
          rows: features.indexSelect(0, tensor(some, { dtype: 'int64' })),
          clusters: some.map((at) => clusters[at]),
        };
      },
    });
    expect(away()).toBeLessThan(0.85 * before);
    for (const one of [model, features, target]) one.dispose();
  });
});
