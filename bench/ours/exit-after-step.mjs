// Preloaded by start-train.mjs: the process ends with SIGALRM, which nothing else sends it, when the first training step has.
import { isMainThread } from 'node:worker_threads';

// The command line trains in a thread, which this is preloaded by too.
if (!isMainThread) {
  const { optim } = await import('../../packages/torch/dist/index.js');
  const { step } = optim.Optimizer.prototype;
  optim.Optimizer.prototype.step = function (...args) {
    step.apply(this, args);
    process.kill(process.pid, 'SIGALRM');
  };
}
