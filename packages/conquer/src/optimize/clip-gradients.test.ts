import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { clipGradients } from './clip-gradients.js';

describeWithPython('clipping against PyTorch', ['torch', 'numpy'], () => {
  it('scales all gradients by one factor, and only where their norm is larger', () => {
    scope(() => {
      const generator = new Generator(1);
      const gradients = [[4, 3], [5], [2, 2, 3]].map((shape) => randn(shape, { generator }));
      const most = [0.5, 3, 1e9];
      const expected = runPython<Tensor[][]>(
        `
          import torch
          output = []
          for most in input['most']:
              parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in input['gradients']]
              for p, g in zip(parameters, input['gradients']):
                  p.grad = g.clone()
              torch.nn.utils.clip_grad_norm_(parameters, most)
              output.append([p.grad for p in parameters])
        `,
        { most, gradients },
      );
      for (const [i, maxNorm] of most.entries()) {
        const clipped = gradients.map((gradient) => gradient.clone());
        const before = liveTensors();
        clipGradients(clipped, maxNorm);
        expect(liveTensors()).toBe(before);
        for (const [j, gradient] of clipped.entries())
          expect(gradient.sub(expected[i]![j]!).abs().max().item()).toBeLessThan(3e-7 * Math.min(1, maxNorm));
      }
    });
  });
});

it('of nothing is nothing', () => {
  expect(() => clipGradients([], 1)).not.toThrow();
});
