import * as init from './nn/init.js';

// PyTorch's torch.nn. Exported from the package as `nn`.

export { ReLU, type ReLUOptions } from './nn/activation.js';
export { BatchNorm2d, type BatchNormOptions } from './nn/batch-norm.js';
export { channelsLast, inBlockedLayout } from './nn/blocked-layout.js';
export { Conv2d, type Conv2dOptions } from './nn/conv.js';
export { convBatchNorm } from './nn/conv-batch-norm.js';
export type { ConvBatchNormOptions, Zeros } from './nn/conv-batch-norm-options.js';
export { Derived } from './nn/derived.js';
export { DropPath, dropPathRates } from './nn/drop-path.js';
export { Dropout, type DropoutOptions } from './nn/dropout.js';
export { LayerNorm, type LayerNormOptions } from './nn/layer-norm.js';
export { Linear, type LinearOptions } from './nn/linear.js';
export { LowRank, type LowRankOptions } from './nn/low-rank.js';
export { type BufferOptions, buffer, type LoadResult, Module, parameter } from './nn/module.js';
export { AdaptiveAvgPool2d, AdaptiveMaxPool2d, MaxPool2d } from './nn/pooling.js';
export { Identity, type Layer, Sequential } from './nn/sequential.js';
export { init };
