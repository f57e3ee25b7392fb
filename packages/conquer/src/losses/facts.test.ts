import { Generator } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import type { LossContext, LossPart } from './loss.js';
import { losses } from './losses.js';

const context: LossContext = { numClasses: 3, embeddingDim: 4, generator: new Generator(1), compat: null };

// They are asked before a loss is built, of the part; afterwards, of the loss.
it.each([...losses])('$name says of itself what it is', (part: LossPart) => {
  const loss = part.build(part.options.parse({}), context);
  expect({ usesTuples: loss.usesTuples, learns: loss.parameters().length > 0 }).toEqual({
    usesTuples: part.usesTuples,
    learns: part.learns,
  });
  loss.dispose();
});
