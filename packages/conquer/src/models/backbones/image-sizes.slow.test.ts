import { noGrad, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createModel } from '../create-model.js';

it.each(['resnet18', 'resnet50', 'alexnet', 'vgg11', 'vgg11bn', 'bn-inception'] as const)(
  '%s takes the images that it says it takes, in training too',
  (arch) => {
    using model = createModel(arch, { embeddingDim: 4 });
    let taken = 0;
    for (let side = 1; side <= 100; side += side < 70 ? 1 : 5) {
      if (!model.backbone.takesSide(side)) {
        expect(() => noGrad(() => model.embed(randn([2, 3, side, side])))).toThrow(/expected images of/);
        continue;
      }
      taken++;
      const finite = scope(() =>
        noGrad(() => model.eval().embed(randn([1, 3, side, side])))
          .isfinite()
          .sum()
          .item(),
      );
      expect([side, finite]).toEqual([side, 4]);
      scope(() =>
        model
          .train()
          .embed(randn([2, 3, side, side]))
          .square()
          .sum()
          .backward(),
      );
    }
    expect(taken).toBeGreaterThan(10);
  },
);
