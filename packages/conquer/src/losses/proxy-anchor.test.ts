import { F, Generator, randn, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { ProxyAnchorLoss } from './proxy-anchor.js';

/** The equation of the paper, number by number. */
function byHand(
  embeddings: number[][],
  proxies: number[][],
  labels: number[],
  margin: number,
  alpha: number,
) {
  const similarity = (x: number[], w: number[]) =>
    x.reduce((sum, value, d) => sum + value * w[d]!, 0) / (Math.hypot(...x) * Math.hypot(...w));
  const present = new Set(labels).size;
  let value = 0;
  for (const [c, proxy] of proxies.entries()) {
    let [own, others] = [0, 0];
    for (const [i, x] of embeddings.entries()) {
      const s = similarity(x, proxy);
      if (labels[i] === c) own += Math.exp(-alpha * (s - margin));
      else others += Math.exp(alpha * (s + margin));
    }
    value += Math.log1p(own) / present + Math.log1p(others) / proxies.length;
  }
  return value;
}

const lossOf = (options: { margin?: number; alpha?: number }, numClasses: number) =>
  new ProxyAnchorLoss({ ...options, numClasses, embeddingDim: 6, generator: new Generator(2) }).to({
    dtype: 'float64',
  });
const rowsOf = (tensor: Tensor) => tensor.tolist() as number[][];

it.each([
  ['as the authors have it', {}, 5, [0, 0, 1, 2, 2, 2, 1]],
  ['with other numbers', { margin: 0.3, alpha: 8 }, 3, [0, 1, 2, 2, 1, 0, 0]],
  ['of a batch of one class', {}, 4, [3, 3, 3, 3, 3, 3, 3]],
])('is the equation of the paper, %s', (_, options, numClasses, labels) => {
  const loss = lossOf(options, numClasses);
  const x = randn([7, 6], { dtype: 'float64', generator: new Generator(3) });
  const { margin, alpha } = loss;
  const expected = byHand(rowsOf(x), rowsOf(loss.proxies), labels, margin, alpha);
  expect(loss.ofBatch(x, Int32Array.from(labels)).item()).toBeCloseTo(expected, 12);
});

it('has the gradient of its value, for images and proxies', () => {
  const loss = lossOf({ alpha: 4 }, 4);
  const labels = Int32Array.of(0, 0, 1, 2);
  const x = randn([4, 6], { dtype: 'float64', generator: new Generator(3) });
  x.requiresGrad_();
  loss.ofBatch(x, labels).backward();
  const [value, proxies] = [rowsOf(x.detach()), rowsOf(loss.proxies.detach())];
  const at = (rows: number[][], i: number, d: number, step: number) =>
    rows.map((row, j) => row.map((number, e) => (i === j && d === e ? number + step : number)));
  const h = 1e-6;
  const slope = (of: (step: number) => number) => (of(h) - of(-h)) / (2 * h);
  const here = [...labels];
  for (const [i, d] of [
    [0, 0],
    [2, 3],
    [3, 5],
  ] as const) {
    const ofImage = slope((step) => byHand(at(value, i, d, step), proxies, here, 0.1, 4));
    expect(rowsOf(x.grad!)[i]![d]).toBeCloseTo(ofImage, 6);
    const ofProxy = slope((step) => byHand(value, at(proxies, i, d, step), here, 0.1, 4));
    expect(rowsOf(loss.proxies.grad!)[i]![d]).toBeCloseTo(ofProxy, 6);
  }
});

it('stays finite where similarities are far apart, and learns', () => {
  const loss = new ProxyAnchorLoss({ numClasses: 2, embeddingDim: 2, alpha: 1e4 });
  const x = F.normalize(randn([4, 2], { generator: new Generator(1) }));
  const value = loss.ofBatch(x, Int32Array.of(0, 1, 0, 1));
  expect(Number.isFinite(value.item())).toBe(true);
  value.backward();
  for (const number of loss.proxies.grad!.toNumbers()) expect(Number.isFinite(number)).toBe(true);
});

it('wants labels of its classes', () => {
  const loss = lossOf({}, 2);
  const x = randn([2, 6], { dtype: 'float64' });
  expect(() => loss.ofBatch(x, Int32Array.of(0, 2))).toThrow(/expected labels 0…1/);
});
