export { autocast, enableGrad, grad, gradEnabled, noGrad } from './autograd.js';
export type { TypedArray } from './binding.js';
export * as F from './functional.js';
export {
  arange,
  cat,
  empty,
  emptyLike,
  eye,
  full,
  linspace,
  ones,
  onesLike,
  rand,
  randint,
  randn,
  randperm,
  stack,
  tensor,
  zeros,
  zerosLike,
  type RandomOptions,
  type TensorOptions,
} from './creation.js';
export type { DType } from './dtype.js';
export { TorchError } from './error.js';
export * as nn from './nn.js';
export * as optim from './optim.js';
export { Generator, manualSeed } from './random.js';
export {
  cudaDeviceCount,
  cudaIsAvailable,
  liveTensors,
  numThreads,
  setFlushDenormal,
  setNumThreads,
  torchVersion,
} from './runtime.js';
export { scope } from './scope.js';
export { aten, type NestedNumbers, Tensor, type ValuesIndices } from './tensor.js';
