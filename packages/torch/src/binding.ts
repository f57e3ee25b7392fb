import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { loadBinding } from '@conquer-dml/native/find-binding';

/** A tensor or generator in the native table: an integer below 2^53. Zero is never a handle. */
export type Handle = number;

/** What an operator is given as a generator: a Generator. */
export interface GeneratorHandle {
  readonly handle: Handle;
}

/** What holds the elements of a tensor in JavaScript. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export interface NativeOperator {
  /** Takes handles for tensors; an argument that is null or left out has its default. */
  call(...args: unknown[]): unknown;
  arguments: { name: string; type: string }[];
  returns: string[];
  /** For each return: the index of the argument it is (in-place and out= operators), or -1. */
  aliases: number[];
}

export interface NativeSchema {
  name: string;
  overload: string;
  text: string;
  arguments: { name: string; type: string; fixedLength: boolean; optional: boolean }[];
  returns: string[];
}

/** What the C++ side exports; `native/` is its documentation. */
export interface Native {
  findOperator(name: string, overload: string): NativeOperator | null;
  schemas(): NativeSchema[];

  fromBuffer(data: TypedArray, shape: readonly number[], dtype: string): Handle;
  copyFromBuffer(tensor: Handle, data: TypedArray, byteOffset: number): void;
  toBuffer(tensor: Handle): ArrayBuffer;
  shape(tensor: Handle): number[];
  strides(tensor: Handle): number[];
  dtype(tensor: Handle): string;
  device(tensor: Handle): string;
  item(tensor: Handle): number;
  dispose(tensor: Handle): void;
  leaveToCollector(tensor: Handle): void;
  stateOf(tensors: Handle[]): number;
  liveTensors(): number;

  backward(outputs: Handle[], gradients: Handle[], retainGraph: boolean): void;
  backwardAndEmpty(output: Handle, gradient: Handle): void;
  grad(outputs: Handle[], inputs: Handle[], gradients: Handle[], allowUnused: boolean): (Handle | null)[];
  gradient(tensor: Handle): Handle | null;
  setGradient(tensor: Handle, gradient: Handle | null): void;
  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, value: boolean): void;
  isLeaf(tensor: Handle): boolean;
  gradEnabled(): boolean;
  setGradEnabled(enabled: boolean): void;
  setAutocast(device: string, enabled: boolean, dtype: string): void;

  newGenerator(device: string, seed: number): Handle;
  seedGenerator(generator: Handle, seed: number): void;
  generatorState(generator: Handle): Handle;
  setGeneratorState(generator: Handle, state: Handle): void;
  disposeGenerator(generator: Handle): void;
  manualSeed(seed: number): void;

  offerDistances(
    block: Handle,
    keys: Handle,
    counts: Handle,
    thresholds: Handle,
    keep: number,
    firstRow: number,
    firstIndex: number,
    transposed: boolean,
  ): void;
  offerProducts(
    queries: Handle,
    rows: Handle,
    squares: Handle,
    keys: Handle,
    counts: Handle,
    thresholds: Handle,
    keep: number,
    firstIndex: number,
  ): void;
  packRows(rows: Handle, squares: Handle, columns: boolean): Handle | null;
  offerPacked(
    dimensions: number,
    squares: Handle,
    packed: Handle,
    otherSquares: Handle,
    otherPacked: Handle,
    keys: Handle,
    counts: Handle,
    thresholds: Handle,
    keep: number,
    firstRow: number,
    firstIndex: number,
    transposedRow: number,
    transposedIndex: number,
    same: boolean,
  ): void;
  quantizedBits(): number;
  packQuantized(
    rows: Handle,
    squares: Handle,
    error: number,
    packed: Handle,
    facts: Handle,
    first: number,
    count: number,
  ): void;
  sortTargets(queries: Handle, gallery: Handle, starts: Handle, places: Handle): Handle;
  limitTargets(
    dimensions: number,
    packed: Handle,
    facts: Handle,
    samplePacked: Handle,
    sampleFacts: Handle,
    sampleCount: number,
    rank: number,
    size: number,
    targets: Handle[],
  ): number;
  countNearer(
    queries: Handle,
    gallery: Handle,
    packed: Handle,
    facts: Handle,
    galleryPacked: Handle,
    galleryFacts: Handle,
    same: boolean,
    targets: Handle[],
    firstRow: number,
    rowCount: number,
    firstColumn: number,
    columnCount: number,
  ): void;
  discountOwn(queries: Handle, gallery: Handle, targets: Handle[], starts: Handle, places: Handle): void;
  settleNeighbours(
    keys: Handle,
    counts: Handle,
    thresholds: Handle,
    keep: number,
    queries: Handle,
    gallery: Handle,
    queryNorms: Handle,
    galleryNorms: Handle,
    relative: number,
    absolute: number,
    scale: number,
    k: number,
    ordered: number,
    cuts: Handle,
    exact: boolean,
  ): [Handle, Handle, Handle];
  moveBounds(before: Handle, after: Handle, nearest: Handle, upper: Handle, lower: Handle): number;
  settleBounds(rows: Handle, centroids: Handle, nearest: Handle, upper: Handle, lower: Handle): void;
  nearestOfFew(
    rows: Handle,
    squares: Handle,
    given: Handle,
    centroids: Handle,
    points: Handle,
    before: Handle | null,
    scale: number,
    relative: number,
    absolute: number,
    nearest: Handle,
    upper: Handle,
    lower: Handle,
  ): void;
  addToClusters(rows: Handle, before: Handle | null, after: Handle, sums: Handle, counts: Handle): number;
  gapsToOwn(rows: Handle, centroids: Handle, own: Handle, to: Handle): void;
  rowGraphNodes(file: Handle): Handle;
  rowGraphNearest(file: Handle, nodes: Handle, queries: Handle, width: number, keys: number): Handle;
  refineNeighbours(rows: Handle, around: Handle, indices: Handle, squares: Handle): void;
  layOutEpoch(
    points: Handle,
    next: Handle,
    starts: Handle,
    ends: Handle,
    weights: Handle,
    epoch: number,
    rate: number,
    a: number,
    b: number,
  ): void;
  distanceWeights(
    products: Handle,
    squares: readonly Handle[],
    rowLabels: Int32Array,
    columnLabels: Int32Array,
    far: Float64Array,
    weights: Float32Array | Float64Array,
    exponentOfDistance: number,
    exponentOfRest: number,
    leastSquare: number,
    floor: number,
    farWeight: number,
  ): void;

  adam(
    params: readonly Handle[],
    grads: readonly Handle[],
    means: readonly Handle[],
    squares: readonly Handle[],
    sizes: Float64Array,
    corrections: Float64Array,
    constants: Float64Array,
  ): boolean;

  normalizeRows(x: Handle, eps: number): Handle;
  rowDistances(
    x: Handle,
    y: Handle,
    from: Int32Array,
    to: Int32Array,
    shift: number,
    leastSquare: number,
  ): Handle;
  exactRowDistances(x: Handle, y: Handle, from: Int32Array, to: Int32Array): Handle;
  selfProducts(x: Handle): Handle;
  softmaxMean(x: Handle, temperature: number): Handle;
  imagesFromPixels(pixels: Handle): Handle;
  mixColors(images: Handle, matrices: Float32Array): Handle;

  joinProcessGroup(
    host: string,
    port: number,
    rank: number,
    size: number,
    timeout: number,
    silence: number,
    onWaiting: (whom: string) => boolean,
  ): number;
  leaveProcessGroup(group: number, reason: string): void;
  allReduce(group: number, tensor: Handle): void;
  allGather(group: number, tensor: Handle): Handle;
  broadcast(group: number, tensor: Handle): void;
  barrier(group: number): void;
  beginGradientSums(group: number, parameters: Handle[]): void;
  endGradientSums(group: number, whole: boolean): void;

  setNumThreads(count: number): void;
  setDefaultNumThreads(count: number): void;
  numThreads(): number;
  setFlushDenormal(enabled: boolean): boolean;
  keepFreedMemory(): boolean;
  useDeterministicAlgorithms(enabled: boolean): void;
  packConvolution(weight: Handle, depthwise: boolean): Handle;
  convolve(
    x: Handle,
    packed: Handle,
    bias: Handle,
    residual: Handle | null,
    geometry: readonly number[],
    min: number,
    max: number,
  ): Handle;
  trainsInBfloat16(): boolean;
  bfloat16Convolution(
    x: Handle,
    weight: Handle,
    bias: Handle | null,
    gamma: Handle | null,
    beta: Handle | null,
    mean: Handle | null,
    variance: Handle | null,
    eps: number,
    residual: Handle | null,
    relu: boolean,
    geometry: readonly number[],
  ): Handle;
  packBfloat16Convolution(weight: Handle, geometry: readonly number[]): Handle;
  convolveInBfloat16(
    x: Handle,
    weight: Handle,
    sizes: readonly number[],
    bias: Handle | null,
    residual: Handle | null,
    least: number,
    most: number,
    geometry: readonly number[],
  ): Handle;
  depthwiseConvolution(
    x: Handle,
    weight: Handle,
    bias: Handle | null,
    strides: readonly number[],
    zeros: readonly number[],
    dilations: readonly number[],
    bfloat16: boolean,
  ): Handle;
  gelu(x: Handle): Handle;
  bfloat16Gelu(x: Handle): Handle;
  bfloat16Attention(qkv: Handle, heads: number): Handle;
  packsProducts(): boolean;
  packedLinear(x: Handle, packed: Handle, bias: Handle): Handle;
  hasBlockedLayout(): boolean;
  isBlocked(tensor: Handle): boolean;
  cudaDeviceCount(): number;
  cudaComputesBfloat16(): boolean;
  version(): string;
  showConfig(): string;
}

/**
 * What libtorch itself does not do for a program that trains, before its first operator; a program may set it otherwise
 * afterwards (setNumThreads, setFlushDenormal), and the environment beforehand.
 */
function setUp(loaded: Native): void {
  // libtorch's own default takes some virtual machines for one core.
  const asked = Number.parseInt(process.env.OMP_NUM_THREADS ?? '', 10);
  loaded.setDefaultNumThreads(Math.min(asked >= 1 ? asked : availableParallelism(), 1024));
  // Adam's moments of weights that no longer get a gradient decay to denormals, which are many times slower. Threads that
  // have started already would keep theirs.
  loaded.setFlushDenormal(true);
  // A training step allocates the same activations again and again.
  const chosen = ['MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_TOP_PAD_', 'MALLOC_MMAP_MAX_'];
  const tuned = process.env.GLIBC_TUNABLES?.includes('glibc.malloc') ?? false;
  if (!tuned && chosen.every((name) => process.env[name] === undefined)) loaded.keepFreedMemory();
}

/** Of this package: the bindings that are built here lie in it. */
export const packageFolder = fileURLToPath(new URL('..', import.meta.url));

function load(): Native {
  // OpenMP reads this when libtorch loads. Its threads otherwise spin while they wait, and take the core from
  // image decoding: a training step went from 0.73 s to 3.5 s. (In a worker thread it is read only where the worker shares
  // its environment with the process: env: SHARE_ENV.)
  process.env.OMP_WAIT_POLICY ??= 'passive';
  // Passive threads sleep at once, and waking them costs more than many an operator. So they spin for some
  // microseconds first (GNU's OpenMP only): a ResNet-50 step got 7 % faster.
  process.env.GOMP_SPINCOUNT ??= '2000';
  const loaded = loadBinding('torch', packageFolder) as Native;
  setUp(loaded);
  return loaded;
}

/**
 * The binding, which is loaded when something of it is first asked for: what only imports this package, to name a class
 * or an option of it, does not wait for libtorch. From then on its functions are this object's own properties.
 *
 * @throws SetupError where it is asked for and there is none, or none that fits; its message is a line that says what to do
 */
export const native: Native = Object.create(
  new Proxy(Object.prototype, {
    get(prototype, name) {
      Object.setPrototypeOf(Object.assign(native, load()), prototype);
      return Reflect.get(native, name);
    },
  }),
);
