// The masks' mean cosine similarity over all pairs, and its gradient: 32 learners × 512.
import { maskOrthogonality } from '../../packages/conquer/dist/index.js';
import { LearnerMasks } from '../../packages/conquer/dist/models/masks.js';
import { Generator, scope } from '../../packages/torch/dist/index.js';
import { serve } from './side.mjs';

const generator = new Generator(1);
const masks = new LearnerMasks(512, { initialisation: 'normal', numLearners: 32, generator });

// Once takes too little time to be measured alone, and the first hundred times V8 still compiles.
const TIMES = 100;

function once() {
  masks.zeroGrad();
  return scope(() => {
    const loss = maskOrthogonality(masks.stacked());
    loss.backward();
    return loss.item();
  });
}

await serve(() => {
  const start = performance.now();
  let check = 0;
  for (let i = 0; i < TIMES; i++) check = once();
  return { check, seconds: (performance.now() - start) / 1000 / TIMES };
});
