import { F, Generator, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { batchRows, type Rows } from '../rows.js';
import { PotentialFieldLoss } from './potential-field.js';

const generator = new Generator(2);
const unit = (rows: number) => F.normalize(randn([rows, 3], { dtype: 'float64', generator }));
const make = () =>
  new PotentialFieldLoss({
    numClasses: 3,
    embeddingDim: 3,
    proxiesPerClass: 2,
    alpha: 3,
    delta: 0.8,
    generator: new Generator(1),
  }).to({ dtype: 'float64' });

/** The energy, charge by charge. */
function byHand(loss: PotentialFieldLoss, anchors: Rows, reference: Rows): number {
  const proxies = F.normalize(loss.proxies).tolist() as number[][];
  const charges = ({ embeddings, labels, imageIds }: Rows) => [
    ...(embeddings.tolist() as number[][]).map((at, i) => ({
      at,
      label: labels[i],
      id: `image ${imageIds[i]}`,
    })),
    ...proxies.map((at, i) => ({ at, label: Math.floor(i / 2), id: `proxy ${i}` })),
  ];
  let energy = 0;
  for (const point of charges(anchors)) {
    for (const source of charges(reference)) {
      if (point.id === source.id) continue;
      const d = Math.hypot(...point.at.map((value, k) => value - source.at[k]!));
      energy += point.label === source.label ? -(Math.max(d, 0.8) ** -3) : Math.min(d, 0.8) ** -3;
    }
  }
  return energy;
}

const batch = batchRows(unit(5), Int32Array.of(0, 0, 1, 2, 2));
const reference: Rows = {
  embeddings: unit(4),
  labels: Int32Array.of(0, 1, 2, 2),
  imageIds: Int32Array.of(7, 8, 3, 9),
};

it('is the energy of all charges, images and proxies, of a batch and of a reference set', () => {
  const loss = make();
  for (const of of [batch, reference])
    expect(loss.forward(batch, of).item() / byHand(loss, batch, of)).toBeCloseTo(1, 10);
});

it('has the gradients of its value, for images and proxies', () => {
  const loss = make();
  const x = batch.embeddings.clone().requiresGrad_();
  const at = (embeddings: Tensor) => {
    const rows = { ...batch, embeddings };
    return loss.forward(rows, rows);
  };
  at(x).backward();
  const slope = (from: Tensor, index: number, of: (moved: Tensor) => number) => {
    const value = (step: number) => {
      const numbers = from.detach().toNumbers();
      numbers[index]! += step;
      return scope(() => of(tensor(numbers, { shape: from.shape, dtype: 'float64' })));
    };
    return (value(1e-6) - value(-1e-6)) / 2e-6;
  };
  for (const index of [0, 7, 14])
    expect(x.grad!.toNumbers()[index]).toBeCloseTo(
      slope(x, index, (moved) => at(moved).item()),
      4,
    );
  const gradient = loss.proxies.grad!.toNumbers();
  const before = loss.proxies.detach().clone();
  for (const index of [0, 10]) {
    const wanted = slope(before, index, (moved) => {
      const other = make();
      other.loadStateDict(new Map([['proxies', moved]]));
      return other.forward(batch, batch).item();
    });
    expect(gradient[index]).toBeCloseTo(wanted, 4);
  }
});

it('is finite where all are one point', () => {
  const rows = batchRows(
    tensor(
      Array.from({ length: 4 }, () => [1, 0, 0]),
      { requiresGrad: true },
    ),
    Int32Array.of(0, 0, 1, 1),
  );
  const loss = new PotentialFieldLoss({ numClasses: 2, embeddingDim: 3 });
  loss.forward(rows, rows).backward();
  expect([...rows.embeddings.grad!.toNumbers()].every(Number.isFinite)).toBe(true);
});
