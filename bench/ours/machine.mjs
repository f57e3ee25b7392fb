// What this machine does right now: float32 matrix products and memory traffic, by libtorch itself.
import { noGrad, randn, scope, zeros } from '@conquer-dml/torch';
import { serve } from './side.mjs';

const SIZE = 2048;
const NUMBERS = 64 * 2 ** 20;
const TIMES = 4;

const a = randn([SIZE, SIZE]);
const b = randn([SIZE, SIZE]);
const source = randn([NUMBERS]);
const target = zeros([NUMBERS]);

/** The best of a few tries, in seconds. */
function fastest(work) {
  let best = Infinity;
  for (let i = 0; i < TIMES; i++) {
    const start = performance.now();
    scope(() => noGrad(work));
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}

await serve(() => ({
  flops: (2 * SIZE ** 3) / fastest(() => void a.matmul(b)),
  // A copy reads and writes each of its 4-byte numbers.
  bytes: (2 * 4 * NUMBERS) / fastest(() => void target.copy_(source)),
}));
