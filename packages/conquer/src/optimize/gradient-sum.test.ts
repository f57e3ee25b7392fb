import { tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { GradientSum } from './gradient-sum.js';

it('gives the mean of what was added, and begins anew', () => {
  const [a, b, none] = [1, 2, 3].map((value) => tensor([value]).requiresGrad_());
  const parameters = [a!, b!, none!];
  const sum = new GradientSum();
  const backward = (body: () => void) => {
    for (const parameter of parameters) parameter.grad = null;
    body();
    sum.add(parameters);
  };
  for (let round = 0; round < 2; round++) {
    backward(() => a!.mul(3).sum().backward());
    backward(() => a!.add(b!).sum().backward());
    expect(sum.count).toBe(2);
    sum.give();
    expect(parameters.map(({ grad }) => grad?.item() ?? null)).toEqual([2, 0.5, null]);
    expect(sum.count).toBe(0);
    expect(round).toBeLessThan(2);
    for (const parameter of parameters) parameter.grad = null;
  }
});
