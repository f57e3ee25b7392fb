import * as F from './functional.js';
import * as nn from './nn.js';
import * as optim from './optim.js';

export type { Absent, FoundLibtorch, Pair } from '@conquer-dml/native/find-binding';
export { SetupError } from '@conquer-dml/native/setup-error';
export { autocast, autocastDtype, enableGrad, grad, gradEnabled, noGrad } from './autograd.js';
export type { TypedArray } from './binding.js';
export { buildBinding, findBindings } from './build.js';
export { CentroidBounds } from './centroid-bounds.js';
export { Checkpoints, checkpoint } from './checkpoint.js';
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
  type RandomOptions,
  rand,
  randint,
  randn,
  randperm,
  stack,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from './creation.js';
export { type DistanceDensity, distanceWeights, type OwnProducts } from './distance-weights.js';
export type { DType } from './dtype.js';
export { OutOfMemoryError, ProcessGroupError, TorchError } from './error.js';
export {
  addToClusters,
  type CentredAndGiven,
  type CentroidPlaces,
  FewCentroids,
  gapsToOwn,
} from './few-centroids.js';
export { MappedGraph } from './mapped-graph.js';
export { NeighbourCandidates, type PackedRows, packRows, type SettledNeighbours } from './neighbours.js';
export { imagesFromPixels, mixColors } from './pixels.js';
export { type GroupPlace, ProcessGroup, type Waiting } from './process-group.js';
export { QuantizedRows, quantizedBits } from './quantized-rows.js';
export { type BatchShare, Generator, manualSeed } from './random.js';
export {
  type CountedRows,
  countNearer,
  discountOwn,
  limitTargets,
  type PlacesOfQueries,
  type RankTargets,
  sortTargets,
} from './rank-counts.js';
export { type OperatorCall, recordOperators } from './recording.js';
export { exactRowDistances, type RowDistanceOptions, rowDistances } from './row-distances.js';
export { type LayOutStep, layOutEpoch, type PointEdges, refineNeighbours } from './row-map.js';
export { rowProducts } from './row-products.js';
export {
  cudaComputesBfloat16,
  cudaDeviceCount,
  cudaIsAvailable,
  keepFreedMemory,
  liveTensors,
  numThreads,
  setFlushDenormal,
  setNumThreads,
  showConfig,
  torchVersion,
  useDeterministicAlgorithms,
} from './runtime.js';
export { scope } from './scope.js';
export { type ReadPthOptions, readPickle, readPth, writePth } from './serialization/pth.js';
export {
  type ReadSafetensorsOptions,
  readSafetensors,
  type SafetensorsContents,
  writeSafetensors,
} from './serialization/safetensors.js';
export { SerializationError } from './serialization/serialization-error.js';
export { StateDictFile, type StoredTensor } from './serialization/state-dict-file.js';
export { softmaxMean } from './softmax-mean.js';
export { aten, type NestedNumbers, Tensor, type ValuesIndices } from './tensor.js';
export { F, nn, optim };
