// Calls the addon as no TypeScript would: wrong handles, disposed tensors, wrong types, huge shapes, from two workers,
// and ends while work is under way. `node hostile-calls.mjs ADDON [CALLS]`; prints a line of JSON. Each call must end
// in a result or in an error that JavaScript can catch. Plain JavaScript, as it is run under AddressSanitizer too.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { graphFile } from './graph-file.mjs';

/** mulberry32: 0 … n - 1. */
function numbers(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

// These change the whole process, or take as long as they are told to.
const LEFT_OUT = new Set([
  'setNumThreads',
  'setDefaultNumThreads',
  'manualSeed',
  'keepFreedMemory',
  'useDeterministicAlgorithms',
  'schemas',
  'setFlushDenormal',
]);
// Operators with every kind of argument: numbers, lists, optional ones, strings, generators, in-place ones.
const OPERATORS = [
  ['add', 'Tensor'],
  ['add_', 'Tensor'],
  ['mm', ''],
  ['cat', ''],
  ['stack', ''],
  ['reshape', ''],
  ['as_strided', ''],
  ['index_select', ''],
  ['gather', ''],
  ['scatter_', 'src'],
  ['index', 'Tensor'],
  ['index_put_', ''],
  ['take', ''],
  ['narrow', ''],
  ['slice', 'Tensor'],
  ['convolution', ''],
  ['max_pool2d', ''],
  ['native_batch_norm', ''],
  ['native_batch_norm_backward', ''],
  ['batch_norm', ''],
  ['native_layer_norm', ''],
  ['native_group_norm', ''],
  ['embedding', ''],
  ['topk', ''],
  ['sort', ''],
  ['repeat', ''],
  ['expand', ''],
  ['permute', ''],
  ['select', 'int'],
  ['div', 'Tensor_mode'],
  ['bernoulli', ''],
  ['_foreach_add_', 'List'],
  ['_foreach_norm', 'Scalar'],
  ['empty', 'memory_format'],
  ['zeros', ''],
  ['full', ''],
  ['_to_copy', ''],
  ['pad', ''],
  ['unfold', ''],
  ['upsample_bilinear2d', ''],
  // Which are the binding's own on libtorch 1.x, from so many elements on.
  ['bmm', ''],
  ['baddbmm', ''],
];

/** Calls everything with anything. */
function attack(path, calls, seed) {
  const native = { ...createRequire(import.meta.url)(path) };
  const int = numbers(seed);
  // Processes that never come are not waited for, nor looked for elsewhere.
  const join = native.joinProcessGroup;
  native.joinProcessGroup = (host, port, rank, size, timeout, ...others) => {
    const near = typeof host === 'string' ? '127.0.0.1' : host;
    return join(
      near,
      port,
      rank,
      size,
      typeof timeout === 'number' ? Math.min(timeout, 0.01) : timeout,
      ...others,
    );
  };
  /** Of one process each. */
  const groups = [];
  const pick = (items) => items[int(items.length)];
  const shapes = [[], [0], [1], [2, 3], [3, 2], [1, 2, 4, 4], [2, 2, 3, 3], [0, 3], [2, 0, 4], [3, 12, 12]];
  const alive = [];
  const dead = [];
  const operators = OPERATORS.map(([name, overload]) =>
    native.findOperator(`aten::${name}`, overload),
  ).filter(Boolean);
  const functions = Object.entries(native).filter(
    ([name, f]) => typeof f === 'function' && !LEFT_OUT.has(name),
  );
  const counts = {
    calls: 0,
    results: 0,
    errors: 0,
    operators: operators.length,
    functions: functions.length,
  };

  const make = () => {
    const shape = pick(shapes);
    const size = shape.reduce((a, b) => a * b, 1);
    const integers = int(3) === 0;
    const data = integers
      ? BigInt64Array.from({ length: size }, () => BigInt(int(5) - 1))
      : Float32Array.from({ length: size }, () => int(100) / 7);
    alive.push(native.fromBuffer(data, shape, integers ? 'int64' : 'float32'));
  };
  const value = (depth = 0) => {
    switch (int(depth > 2 ? 14 : 18)) {
      case 0:
        return pick([0, 1, -1, 2, 3, 0.5, -0.5]);
      case 1:
        return pick([
          Number.NaN,
          Infinity,
          -Infinity,
          2 ** 31,
          -(2 ** 31),
          2 ** 53,
          2 ** 63,
          -(2 ** 63),
          1e300,
        ]);
      case 2:
        return pick([
          undefined,
          null,
          true,
          false,
          '',
          'float32',
          'int64',
          'cpu',
          'cuda:99',
          'meta',
          'nonsense\0',
        ]);
      case 3:
        return pick([1n, -1n, 2n ** 64n, Symbol('s'), () => 1, {}, new Date(), new Proxy([], {})]);
      case 4:
        return pick([
          new Float32Array(6),
          new BigInt64Array(3),
          new Uint8Array(0),
          new ArrayBuffer(8),
          new DataView(new ArrayBuffer(4)),
        ]);
      case 5:
        return pick(dead.length > 0 ? dead : [12345]);
      case 6:
        return pick([2 ** 24, 2 ** 24 + 1, 2 ** 52 + 3, -5, 1.5]);
      case 7:
        return pick([[2 ** 40, 2 ** 40], [2 ** 62, 4], [-1], [-2, 3], [1e18, 0], Array(70).fill(1)]);
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
      case 13:
        return alive.length > 0 ? pick(alive) : 0;
      default:
        return Array.from({ length: int(4) }, () => value(depth + 1));
    }
  };
  const keep = (result) => {
    if (typeof result === 'number' && Number.isSafeInteger(result) && result > 2 ** 24) alive.push(result);
    else if (Array.isArray(result)) result.forEach(keep);
  };
  // What an operator's schema asks for, most of the time: else hardly a call would get as far as libtorch.
  const fitting = (type) => {
    if (int(6) === 0) return value();
    if (type.startsWith('Tensor[')) return Array.from({ length: int(3) }, () => pick(alive));
    if (type.startsWith('Tensor')) return pick(alive);
    if (type.includes('[')) return Array.from({ length: 1 + int(4) }, () => int(6) - 2);
    if (type.startsWith('bool')) return int(2) === 0;
    return int(7) - 2;
  };

  // Calls of our own kernels that would be right, of which then an argument or two is not; their tensors hold anything.
  const floats = (...shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const strange = [Number.NaN, Infinity, -Infinity, 3e38, -0, 1e-45];
    const data = Float32Array.from({ length: size }, () =>
      int(20) === 0 ? pick(strange) : int(1000) / 100 - 1,
    );
    return own(native.fromBuffer(data, shape, 'float32'));
  };
  const halves = (...shape) => integers(Uint16Array, 'bfloat16', 0, 65_535, ...shape);
  const integers = (Kind, dtype, least, most, ...shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const number = () =>
      int(30) === 0 ? pick([-1, -(2 ** 31), 2 ** 31 - 1]) : least + int(most - least + 1);
    const data = Kind.from({ length: size }, () => (Kind === BigInt64Array ? BigInt(number()) : number()));
    return own(native.fromBuffer(data, shape, dtype));
  };
  const group = () => (groups.length > 0 ? pick(groups) : 0);
  const made = [];
  const own = (handle) => {
    made.push(handle);
    return handle;
  };
  // Keys as the kernels write them: the bits of a distance above an index.
  const keys = (rows, capacity, size) => {
    const bits = new Uint32Array(
      Float32Array.from({ length: rows * capacity }, () => int(1000) / 100).buffer,
    );
    const all = BigInt64Array.from(bits, (high) =>
      int(40) === 0
        ? pick([-1n, 2n ** 63n - 1n, -(2n ** 63n), 1n << 31n])
        : (BigInt(high) << 32n) | BigInt(int(size)),
    );
    return own(native.fromBuffer(all, [rows, capacity], 'int64'));
  };
  const bounds = (rows, centroids) => {
    const nearest = BigInt64Array.from({ length: rows }, () =>
      int(400) === 0 ? pick([-1n, BigInt(centroids), 2n ** 63n - 1n]) : BigInt(int(centroids)),
    );
    const which = own(native.fromBuffer(nearest, [rows], 'int64'));
    return [which, floats(rows), floats(rows, centroids)];
  };
  // Rows as bytes, with what is known of them.
  const quantized = (count, dimensions) => {
    const places = Math.ceil(count / 32) * 32;
    return [
      integers(Int8Array, 'int8', -128, 127, places * 4 * Math.ceil(dimensions / 4)),
      floats(5, places),
    ];
  };
  const placesOf = (rows, size) => {
    const starts = [0];
    for (let row = 0; row < rows; row++) starts.push(starts[row] + int(4));
    return {
      count: starts[rows],
      starts: own(native.fromBuffer(Int32Array.from(starts), [rows + 1], 'int32')),
      places: integers(Int32Array, 'int32', 0, size - 1, starts[rows]),
    };
  };
  const targets = (rows, size) => {
    const { count, starts, places } = placesOf(rows, size);
    const numbers = Float64Array.from({ length: count }, () => int(1000) / 100);
    const squares = own(native.fromBuffer(numbers, [count], 'float64'));
    const kept = integers(Int32Array, 'int32', 0, 1, rows);
    const counts = integers(Int32Array, 'int32', 0, 9, count + rows);
    return [starts, places, squares, floats(count), floats(count), kept, floats(rows), counts];
  };
  const kernels = {
    offerDistances() {
      const [rows, capacity, columns] = [1 + int(20), 1 + int(80), int(40)];
      const block = int(2) === 0 ? [floats(rows, columns), false] : [floats(columns, rows), true];
      const counts = integers(Int32Array, 'int32', 0, capacity, rows);
      return [
        block[0],
        keys(rows, capacity, 50),
        counts,
        floats(rows),
        1 + int(capacity),
        0,
        int(9),
        block[1],
      ];
    },
    packRows() {
      const rows = int(40);
      return [floats(rows, int(40)), floats(rows), int(2) === 0];
    },
    offerPacked() {
      const [rows, columns, capacity, dimensions] = [1 + int(20), 1 + int(40), 1 + int(80), 1 + int(40)];
      const packed = (count, together) => {
        const words = Math.ceil(count / together) * together * Math.ceil(dimensions / 2);
        return integers(Int32Array, 'int32', -(2 ** 31), 2 ** 31 - 1, words);
      };
      const all = rows + columns;
      return [
        dimensions,
        ...[floats(rows), packed(rows, 4), floats(columns), packed(columns, 16)],
        ...[keys(all, capacity, 50), integers(Int32Array, 'int32', 0, capacity, all), floats(all)],
        1 + int(capacity),
        ...[0, int(9), pick([rows, -1]), int(9), int(2) === 0],
      ];
    },
    packQuantized() {
      const [some, dimensions] = [1 + int(40), 1 + int(40)];
      const count = some + int(3);
      const places = Math.ceil(count / 32) * 32;
      const [packed] = quantized(count, dimensions);
      return [
        floats(some, dimensions),
        floats(some),
        pick([0, 1e-3, -1]),
        packed,
        floats(5, places),
        int(3),
        count,
      ];
    },
    sortTargets() {
      const [rows, size, dimensions] = [1 + int(20), 1 + int(50), int(40)];
      const queries = floats(rows, dimensions);
      const gallery = int(2) === 0 ? queries : floats(size, dimensions);
      const { starts, places } = placesOf(rows, gallery === queries ? rows : size);
      return [queries, gallery, starts, places];
    },
    limitTargets() {
      const [rows, size, some, dimensions] = [1 + int(20), 1 + int(50), int(70), 1 + int(40)];
      const sides = [...quantized(rows, dimensions), ...quantized(some, dimensions)];
      return [dimensions, ...sides, some, int(80), size, targets(rows, size)];
    },
    countNearer() {
      const [rows, dimensions, same] = [1 + int(70), 1 + int(40), int(2) === 0];
      const size = same ? rows : 1 + int(70);
      const queries = floats(rows, dimensions);
      const gallery = same ? queries : floats(size, dimensions);
      const sides = [...quantized(rows, dimensions), ...quantized(size, dimensions)];
      const block = pick([
        [0, rows, 0, size],
        [0, 32, 0, 32],
        [32, rows - 32, 0, size],
        [int(90), int(90), int(90), int(90)],
      ]);
      return [queries, gallery, ...sides, same, targets(rows, size), ...block];
    },
    discountOwn() {
      const [rows, size, dimensions] = [1 + int(20), 1 + int(50), int(40)];
      const { starts, places } = placesOf(rows, size);
      return [floats(rows, dimensions), floats(size, dimensions), targets(rows, size), starts, places];
    },
    settleNeighbours() {
      const [rows, capacity, dimensions, size] = [1 + int(20), 1 + int(140), int(20), 1 + int(50)];
      const keep = 1 + int(capacity);
      const counts = integers(Int32Array, 'int32', keep, capacity, rows);
      const cuts = own(native.fromBuffer(Int32Array.from([1 + int(5), 6 + int(9)]), [2], 'int32'));
      const norms = [floats(rows), floats(size)];
      const candidates = [keys(rows, capacity, size), counts, floats(rows), keep];
      const bounds = [1e-6, 1e-6, 1];
      const k = 1 + int(keep);
      return [
        ...candidates,
        floats(rows, dimensions),
        floats(size, dimensions),
        ...norms,
        ...bounds,
        k,
        int(k),
        cuts,
        int(2) === 0,
      ];
    },
    rowGraphNearest() {
      const [rows, dimensions] = [1 + int(6), 1 + int(40)];
      const row = () => Array.from({ length: dimensions }, () => int(256) - 128);
      const list = (most) => Array.from({ length: int(most + 1) }, () => int(rows + int(2)));
      const bytes = graphFile({
        rows: Array.from({ length: rows }, row),
        nodes: Array.from({ length: rows }, () => ({
          layers: int(3) === 0 ? [list(4), list(2)] : [list(4)],
        })),
        entry: int(rows),
      });
      for (let wrong = int(4); wrong > 0; wrong--) bytes[int(bytes.length)] = int(256);
      const file = own(native.fromBuffer(bytes, [bytes.length], 'uint8'));
      const starts = integers(BigInt64Array, 'int64', -1, bytes.length, rows);
      return [file, starts, floats(int(4), dimensions), int(rows + 2)];
    },
    moveBounds() {
      const [centroids, dimensions] = [1 + int(9), int(40)];
      const moving = [floats(centroids, dimensions), floats(centroids, dimensions)];
      return [...moving, ...bounds(1 + int(200), centroids)];
    },
    settleBounds() {
      const [rows, centroids, dimensions] = [1 + int(200), 1 + int(9), int(40)];
      return [floats(rows, dimensions), floats(centroids, dimensions), ...bounds(rows, centroids)];
    },
    nearestOfFew() {
      const [rows, k, dimensions] = [1 + int(200), 1 + int(20), int(40)];
      const [nearest] = bounds(rows, k);
      const [all, places] = [
        [rows, dimensions],
        [k, dimensions],
      ];
      return [
        ...[floats(...all), floats(rows), floats(...all), floats(...places), floats(...places)],
        pick([null, floats(...places)]),
        ...[1, 1e-6, 1e-6, nearest, floats(rows), floats(rows)],
      ];
    },
    addToClusters() {
      const [rows, k, dimensions] = [1 + int(200), 1 + int(9), int(40)];
      const [which] = bounds(rows, k);
      const sums = own(native.fromBuffer(new Float64Array(k * dimensions), [k, dimensions], 'float64'));
      const counts = own(native.fromBuffer(new Float64Array(k), [k], 'float64'));
      return [floats(rows, dimensions), pick([null, bounds(rows, k)[0]]), which, sums, counts];
    },
    gapsToOwn() {
      const [rows, k, dimensions] = [1 + int(200), 1 + int(9), int(40)];
      const to = own(native.fromBuffer(new Float64Array(rows), [rows], 'float64'));
      return [floats(rows, dimensions), floats(k, dimensions), bounds(rows, k)[0], to];
    },
    refineNeighbours() {
      const [rows, width, k] = [1 + int(40), 1 + int(9), 1 + int(9)];
      const near = (columns) => integers(Int32Array, 'int32', -1, rows - 1, rows, columns);
      return [floats(rows, int(20)), near(width), near(k), floats(rows, k)];
    },
    layOutEpoch() {
      const [points, each] = [1 + int(40), int(9)];
      const starts = Int32Array.from({ length: points + 1 }, (_, i) => i * each);
      if (int(20) === 0) starts[int(points + 1)] = pick([-1, 2 ** 31 - 1, 3]);
      return [
        floats(points, 2),
        floats(points, 2),
        own(native.fromBuffer(starts, [points + 1], 'int32')),
        integers(Int32Array, 'int32', 0, points - 1, points * each),
        floats(points * each),
        int(200),
        ...[0.5, 1.577, 0.895],
      ];
    },
    distanceWeights() {
      const [rows, columns] = [int(20), int(20)];
      const labels = (size) => Int32Array.from({ length: size }, () => int(4));
      const far = Float64Array.from({ length: rows }, () => pick([1, 2, Infinity, Number.NaN, -1, 0]));
      const weights = new Float32Array(rows * columns);
      const squares = int(2) === 0 ? [] : [floats(rows), floats(columns)];
      const density = [-126, -62.5, 0.25, 1e-4, 0];
      return [floats(rows, columns), squares, labels(rows), labels(columns), far, weights, ...density];
    },
    packConvolution() {
      const each = int(2) === 0;
      return [floats(8 * int(4), each ? 1 : int(9), int(4), pick([1, 3, 5])), each];
    },
    convolve() {
      const [each, outputs, kernel] = [int(2) === 0, 8 * (1 + int(4)), pick([1, 3, 5, 0])];
      const [height, width] = [int(12), int(12)];
      const channels = each ? outputs : 1 + int(9);
      const packed = each ? floats(kernel, kernel, outputs) : floats(outputs, kernel, kernel, channels);
      const added = int(2) === 0 ? null : floats(2, outputs, height, width);
      const geometry = Array.from({ length: 6 }, (_, i) =>
        i < 2 ? pick([1, 2, 0]) : pick([0, 1, kernel >> 1]),
      );
      return [
        floats(2, channels, height, width),
        packed,
        floats(outputs),
        added,
        geometry,
        0,
        pick([6, Infinity]),
      ];
    },
    depthwiseConvolution() {
      const channels = pick([8, 16, 24, 5]);
      const [height, width] = [pick([1, 3, 5, 7]), pick([1, 3, 5, 7])];
      const x = pick([floats, halves])(int(4), channels, int(12), int(12));
      const weight = floats(channels, pick([1, 1, 1, 2]), height, width);
      const sides = (least) => [least + int(3), least + int(4)];
      return [
        x,
        weight,
        pick([null, floats(channels)]),
        sides(pick([0, 1, 1])),
        sides(0),
        sides(1),
        int(2) === 0,
      ];
    },
    bfloat16Gelu() {
      return [halves(int(5), int(9))];
    },
    bfloat16Attention() {
      const [heads, size] = [1 + int(3), pick([32, 64, 16])];
      return [halves(int(3), int(70), 3 * heads * size), heads];
    },
    bfloat16Convolution() {
      const [inputs, outputs, kernel] = [pick([3, 32, 64]), 32 * (1 + int(3)), pick([1, 3, 0])];
      const zeros = [pick([0, 1]), kernel >> 1];
      const geometry = [
        ...[pick([1, 2, 0]), 1],
        ...[...zeros, ...zeros],
        ...[1, pick([1, 2])],
        pick([1, 1, 2]),
      ];
      const numbers = () => pick([null, floats(outputs)]);
      const [mean, variance] = int(2) === 0 ? [null, null] : [floats(outputs), floats(outputs)];
      const x = pick([floats, halves])(2, inputs, int(12), int(12));
      const added = pick([null, null, halves(2, outputs, int(12), int(12))]);
      const weight = floats(outputs, inputs, kernel, kernel);
      return [
        x,
        weight,
        numbers(),
        numbers(),
        numbers(),
        mean,
        variance,
        1e-5,
        added,
        int(2) === 0,
        geometry,
      ];
    },
    packBfloat16Convolution() {
      const [channels, kernel] = [1 + int(70), pick([1, 3, 5])];
      const each = int(2) === 0;
      const weight = floats(channels, each ? 1 : 1 + int(9), kernel, pick([kernel, kernel, 2]));
      const zeros = Array.from({ length: 4 }, () => int(3));
      return [
        weight,
        [
          ...pick([
            [1, 1],
            [2, 2],
            [1, 2],
          ]),
          ...zeros,
          1,
          1,
          each ? channels : 1,
        ],
      ];
    },
    convolveInBfloat16() {
      const [inputs, outputs, kernel, each] = [1 + int(70), 1 + int(70), pick([1, 3, 5]), int(2) === 0];
      const zeros = Array.from({ length: 4 }, () => int(3));
      const step = 1 + int(2);
      const geometry = [step, step, ...zeros, 1, 1, each ? inputs : 1];
      const own = floats(each ? inputs : outputs, each ? 1 : inputs, kernel, kernel);
      const weight =
        int(9) === 0
          ? halves(outputs, inputs, kernel, kernel)
          : made.push(native.packBfloat16Convolution(own, geometry)) && made.at(-1);
      const x = pick([floats, halves])(2, inputs, int(12), int(12));
      const count = each ? inputs : outputs;
      const residual = pick([null, halves(2, count, int(12), int(12))]);
      return [
        x,
        weight,
        [count, kernel, kernel],
        pick([null, floats(count)]),
        residual,
        pick([0, -Infinity, Number.NaN]),
        pick([6, Infinity]),
        geometry,
      ];
    },
    normalizeRows() {
      return [floats(int(5), int(9)), pick([1e-12, 0, Number.NaN, -1])];
    },
    rowDistances() {
      const [rows, others, dimensions, pairs] = [1 + int(9), 1 + int(9), int(40), int(20)];
      const listed = (below) => Int32Array.from({ length: pairs }, () => int(below));
      return [floats(rows, dimensions), floats(others, dimensions), listed(rows), listed(others), 1e-6, 0];
    },
    selfProducts() {
      return [floats(int(9), int(9))];
    },
    softmaxMean() {
      return [floats(int(5), int(9)), pick([0.1, 0, Number.NaN, -1])];
    },
    adam() {
      const shapes = Array.from({ length: int(4) }, () => [int(5), 1 + int(9)]);
      const lists = Array.from({ length: 4 }, () => shapes.map((shape) => floats(...shape)));
      const numbers = Float64Array.from(shapes, () => 0.1);
      return [...lists, numbers, numbers.slice(), new Float64Array(7).fill(0.5)];
    },
    imagesFromPixels() {
      return [integers(Uint8Array, 'uint8', 0, 255, int(3), 1 + int(5), 1 + int(5), pick([3, 3, 3, 1, 4]))];
    },
    mixColors() {
      const count = int(3);
      return [floats(count, 3, 1 + int(5), int(5)), new Float32Array(count * 12).fill(0.3)];
    },
    fromBuffer() {
      const shape = [1 + int(4), 2];
      return [new Float32Array(shape[0] * 2), shape, 'float32'];
    },
    copyFromBuffer() {
      return [floats(8), new Float32Array(1 + int(8)), 4 * int(9)];
    },
    joinProcessGroup() {
      groups.push(native.joinProcessGroup('127.0.0.1', 0, 0, 1, 1, 1, () => false));
      const [size, onWaiting] = [
        1 + int(3),
        pick([() => false, () => true, () => 'later', () => group(), null]),
      ];
      return ['127.0.0.1', int(65536), int(size), size, 1, 1, onWaiting];
    },
    leaveProcessGroup() {
      return [groups.length > 5 ? groups.shift() : group(), pick(['', 'no memory', 'x'.repeat(5000)])];
    },
    allReduce() {
      return [group(), pick([floats(int(3), 4), integers(BigInt64Array, 'int64', 0, 9, int(5))])];
    },
    allGather() {
      return [group(), floats(int(3), 4)];
    },
    broadcast() {
      return [group(), floats(int(3), 4)];
    },
    barrier() {
      return [group()];
    },
    beginGradientSums() {
      const parameters = [floats(2, 3), floats(int(4)), floats()];
      for (const handle of parameters) if (int(9) > 0) native.setRequiresGrad(handle, true);
      if (int(2) === 0) native.setGradient(parameters[0], floats(2, 3));
      return [group(), parameters];
    },
    endGradientSums() {
      return [group(), int(3) > 0];
    },
  };
  const detach = (array) => structuredClone(array.buffer, { transfer: [array.buffer] });
  /** Transfers or shrinks the memory of a typed array, or puts a getter that does so among the numbers before it. */
  const pull = (args) => {
    const at = args.findIndex((one) => ArrayBuffer.isView(one) && one.byteLength > 0);
    if (at < 0) return;
    const list = args.find((one) => Array.isArray(one) && one.length > 0);
    if (list && int(2) === 0) {
      const [first] = list;
      const array = args[at];
      const get = () => {
        if (array.byteLength > 0) detach(array);
        return first;
      };
      Object.defineProperty(list, 0, { get });
    } else if (int(2) === 0) detach(args[at]);
    else {
      const { constructor: Kind, length, byteLength } = args[at];
      const buffer = new ArrayBuffer(byteLength, { maxByteLength: byteLength });
      args[at] = int(2) === 0 ? new Kind(buffer) : new Kind(buffer, 0, length);
      buffer.resize(byteLength - 1);
    }
  };
  const callKernel = () => {
    const [name, build] = pick(Object.entries(kernels));
    try {
      const args = build();
      if (int(4) === 0) pull(args);
      for (let i = int(3); i > 0; i--) args[int(args.length)] = int(2) === 0 ? value() : int(2000) - 1000;
      keep(native[name](...args));
    } finally {
      for (const handle of made.splice(0)) {
        if (int(3) === 0) alive.push(handle);
        else native.dispose(handle);
      }
    }
  };

  for (let call = 0; call < calls; call++) {
    while (alive.length < 12) make();
    counts.calls++;
    try {
      const choice = int(10);
      if (choice < 4) {
        callKernel();
      } else if (choice < 7) {
        const operator = pick(operators);
        keep(operator.call(...operator.arguments.map(({ type }) => fitting(type))));
      } else if (choice < 9) {
        const [, f] = pick(functions);
        keep(f(...Array.from({ length: int(6) }, () => value())));
      } else {
        const handle = alive.splice(int(alive.length), 1)[0];
        native.dispose(handle);
        dead.push(handle);
        native.dispose(handle); // twice
      }
      counts.results++;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      counts.errors++;
    }
    while (alive.length > 60) {
      const handle = alive.shift();
      dead.push(handle);
      try {
        native.dispose(handle);
      } catch {}
    }
    if (dead.length > 200) dead.length = 100;
  }
  native.setGradEnabled(true);
  return counts;
}

/** Work that is under way when its thread is told to end. */
function endlessWork(path) {
  const native = createRequire(import.meta.url)(path);
  const mm = native.findOperator('aten::mm', '');
  const x = native.fromBuffer(new Float32Array(400 * 400), [400, 400], 'float32');
  parentPort.postMessage('started');
  for (;;) native.dispose(mm.call(x, x));
}

async function main() {
  const [path, calls = '20000'] = process.argv.slice(2);
  const start = (data) => new Worker(fileURLToPath(import.meta.url), { workerData: { path, ...data } });
  const results = (seed) =>
    new Promise((resolve, reject) => {
      const worker = start({ job: 'attack', calls: Number(calls), seed });
      worker.once('message', resolve).once('error', reject);
    });
  const workers = [results(2), results(3)];
  const own = attack(path, Number(calls), 1);
  const all = [own, ...(await Promise.all(workers))];
  // Threads that end in the middle of an operator, and then the process, while another works.
  for (let round = 0; round < 3; round++) {
    const worker = start({ job: 'endless' });
    await new Promise((resolve) => worker.once('message', resolve));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await worker.terminate();
  }
  const last = start({ job: 'endless' });
  await new Promise((resolve) => last.once('message', resolve));
  console.log(JSON.stringify(all));
  process.exit(0);
}

if (isMainThread) await main();
else if (workerData.job === 'attack')
  parentPort.postMessage(attack(workerData.path, workerData.calls, workerData.seed));
else endlessWork(workerData.path);
