import { readFileSync } from 'node:fs';
import { Generator, randn, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { ballDistances, toPoincareBall, usualBall } from '../neighbours/poincare.js';
import { withDefaults } from '../part.js';
import { batchRows } from '../rows.js';
import type { LossPart } from './loss.js';
import { losses } from './losses.js';

interface Peers {
  distances: {
    embeddings: number[][];
    labels: number[];
    values: { loss: string; options: Record<string, unknown>; value: number }[];
  };
}
const file = new URL('../../test/fixtures/pml.json', import.meta.url);
const { embeddings, labels, values } = (JSON.parse(readFileSync(file, 'utf8')) as Peers).distances;

it.each(values)('$loss $options is that of pytorch-metric-learning', ({ loss: name, options, value }) => {
  const part: LossPart = losses.find((one) => one.name === name)!;
  const context = { numClasses: 5, embeddingDim: 6, compat: null };
  const loss = part.build(withDefaults('loss', part.options, options as never), context);
  const got = loss.ofBatch(tensor(embeddings, { dtype: 'float64' }), Int32Array.from(labels));
  expect(got.item()).toBeCloseTo(value, 9);
});

it('hyperbolic distances are those of the ball, of points on the way from 0 outwards too', () => {
  // From 0 a point at artanh's argument √c r is 2/√c artanh(√c r) away.
  const point = tensor([[0.5, 0, 0]], { dtype: 'float64' });
  const zero = tensor([[0, 0, 0]], { dtype: 'float64' });
  expect(ballDistances(zero, point, 1).item()).toBeCloseTo(2 * Math.atanh(0.5), 4);
  const x = randn([4, 3], { dtype: 'float64', generator: new Generator(1) });
  const points = toPoincareBall(x, usualBall);
  for (const length of points.norm(2, 1).toNumbers()) expect(length).toBeLessThan(1 / Math.sqrt(0.1));
  const loss: LossPart = losses.find(({ name }) => name === 'sup-con')!;
  const of = batchRows(x, Int32Array.of(0, 0, 1, 1));
  const built = loss.build(withDefaults('loss', loss.options, { distance: 'hyperbolic' } as never), {
    numClasses: 2,
    embeddingDim: 3,
    compat: null,
  });
  const away = ballDistances(points, points, 0.1).tolist() as number[][];
  const byHand = [0, 1, 2, 3].map((i) => {
    const others = [0, 1, 2, 3].filter((j) => j !== i);
    const partner = i ^ 1;
    return (
      Math.log(others.reduce((sum, j) => sum + Math.exp(-away[i]![j]! / 0.1), 0)) + away[i]![partner]! / 0.1
    );
  });
  expect(built.forward(of, of, null).item()).toBeCloseTo(byHand.reduce((a, b) => a + b) / 4, 8);
});
