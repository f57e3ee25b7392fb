// Learners as adapters: before the last linear layer each branch of the dimensions has a small network of its own, added to the features
// (as adapters of Houlsby et al. 2019), which begins as nothing. Under fixed masks a branch is a learner, and only its learner trains it.

import { cat, F, nn, noGrad, scope } from '@conquer-dml/torch';
import { z } from 'zod';
import { Head, part } from '../../packages/conquer/dist/index.js';

const options = z.strictObject({
  branches: z.int().min(1).default(4).describe('branches, an equal share of the dimensions each'),
  width: z.int().min(1).default(64).describe("width of an adapter's hidden layer"),
});

export class AdapterHead extends Head {
  constructor({ featureSize, embeddingDim, generator }, { branches, width }) {
    super();
    if (embeddingDim % branches !== 0)
      throw new RangeError(
        `expected an embedding of a multiple of ${branches} dimensions, got ${embeddingDim}`,
      );
    this.branches = Array.from({ length: branches }, () => ({
      down: new nn.Linear(featureSize, width, { generator }),
      up: new nn.Linear(width, featureSize, { generator }),
    }));
    for (const { up } of this.branches)
      noGrad(() => {
        up.weight.fill_(0);
        up.bias.fill_(0);
      });
    this.embedding = new nn.Linear(featureSize, embeddingDim, { generator });
  }

  *namedChildren() {
    yield* super.namedChildren();
    for (const [i, { down, up }] of this.branches.entries()) {
      yield [`head_adapters.${i}.down`, down];
      yield [`head_adapters.${i}.up`, up];
    }
  }

  forward(features) {
    return scope(() => {
      const { weight, bias } = this.embedding;
      const size = weight.size(0) / this.branches.length;
      return cat(
        this.branches.map(({ down, up }, k) => {
          const adapted = features.add(up.forward(down.forward(features).relu()));
          return F.linear(adapted, weight.narrow(0, k * size, size), bias.narrow(0, k * size, size));
        }),
        1,
      );
    });
  }
}

/** A plugin of `conquer train` too: --plugin board/today/adapters.mjs --head adapters */
export const heads = [
  part({
    name: 'adapters',
    help: 'a small network for each branch of the dimensions, added to its features',
    options,
    build: (given) => (shape) => new AdapterHead(shape, given),
  }),
];
