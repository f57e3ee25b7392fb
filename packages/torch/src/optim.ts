// PyTorch's torch.optim. Exported from the package as `optim`.

export { Adam, type AdamOptions, AdamW } from './optim/adam.js';
export {
  type BaseOptions,
  type Group,
  type GroupInit,
  Optimizer,
  type OptimizerState,
} from './optim/optimizer.js';
export { Schedule, type ScheduleState } from './optim/schedule.js';
export {
  type CosineOptions,
  cosine,
  multiStepLR,
  type OneCycleOptions,
  oneCycle,
  type ScheduleFunction,
  stepLR,
  type WarmupOptions,
  warmup,
} from './optim/schedules.js';
export { SGD, type SGDOptions } from './optim/sgd.js';
