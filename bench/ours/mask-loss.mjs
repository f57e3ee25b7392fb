// The masks' mean cosine similarity over all pairs, and its gradient: 32 learners × 512.
import { maskOrthogonality } from '../../packages/conquer/dist/index.js';
import { LearnerMasks } from '../../packages/conquer/dist/models/masks.js';
import { Generator, scope } from '../../packages/torch/dist/index.js';
import { serve } from './side.mjs';

const generator = new Generator(1);
const masks = new LearnerMasks(512, { initialisation: 'normal', numLearners: 32, generator });

await serve(() => {
  masks.zeroGrad();
  return scope(() => {
    const loss = maskOrthogonality(masks.stacked());
    loss.backward();
    return { check: loss.item() };
  });
});
