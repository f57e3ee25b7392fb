import type { Attribute, Graph } from './graph.js';
import type { TracedCall } from './traced-call.js';
import { padded, pooledAdaptively, windows } from './windows.js';

/** @returns the names of the results, of which those that nobody asks for may be missing */
type Emit = (call: TracedCall) => string | string[];

const unary =
  (operator: string, attributes: Readonly<Record<string, Attribute>> = {}): Emit =>
  (call) =>
    call.add(operator, [call.value(0)], attributes);
const binary =
  (operator: string): Emit =>
  (call) =>
    call.add(operator, [call.value(0), call.value(1)]);
/** a ± alpha · b */
const scaled =
  (operator: string): Emit =>
  (call) => {
    const alpha = call.plain(2, 1);
    const other = alpha === 1 ? call.value(1) : call.add('Mul', [call.value(1), call.graph.scalar(alpha)]);
    return call.add(operator, [call.value(0), other]);
  };
const reduced =
  (operator: string, axes = 1, keepdim = 2): Emit =>
  (call) =>
    call.add(operator, [call.value(0), call.graph.integers(call.axes(axes))], {
      keepdims: { int: call.plain(keepdim, false) ? 1 : 0 },
    });
const reshaped: Emit = (call) => call.reshaped(call.value(0));
const same: Emit = (call) => call.value(0);

function transposed(call: TracedCall, perm: readonly number[], value = call.value(0)): string {
  return call.add('Transpose', [value], { perm: { ints: perm } });
}

function swapped(call: TracedCall, rank: number, a: number, b: number, value: string): string {
  const perm = Array.from({ length: rank }, (_, i) => (i === a ? b : i === b ? a : i));
  return transposed(call, perm, value);
}

/** The batch's images, int64 (1), from the images themselves. */
function batchOf(graph: Graph): string {
  const [images] = graph.inputs;
  return graph.add('Shape', [images!.name], { start: { int: 0 }, end: { int: 1 } });
}

/** Repeats dimensions of size 1, new ones in front too. */
const expanded: Emit = (call) => {
  const { graph, sizes } = call;
  const each = sizes.map((size) => {
    if (typeof size === 'number') return graph.integers([size]);
    const batch = batchOf(graph);
    return size.batches === 1 ? batch : graph.add('Mul', [batch, graph.integers([size.batches])]);
  });
  return call.add('Expand', [call.value(0), call.add('Concat', each, { axis: { int: 0 } })]);
};

const linear: Emit = (call) => {
  const weight = call.tensor(1).detach().t().contiguous();
  const product = call.add('MatMul', [
    call.value(0),
    call.graph.constant('float32', weight.shape, weight.toNumbers()),
  ]);
  return call.isGiven(2) ? call.add('Add', [product, call.value(2)]) : product;
};

const attention: Emit = (call) => {
  const [sizes, keys] = [call.sizesOf(0), call.sizesOf(1)];
  const width = sizes.at(-1) as number;
  const query = call.add('Mul', [call.value(0), call.graph.scalar(width ** -0.5)]);
  const turned = swapped(call, keys.length, keys.length - 2, keys.length - 1, call.value(1));
  const scores = call.add('MatMul', [query, turned]);
  const masked = call.isGiven(3) ? call.add('Add', [scores, call.value(3)]) : scores;
  const shares = call.add('Softmax', [masked], { axis: { int: sizes.length - 1 } });
  return call.add('MatMul', [shares, call.value(2)]);
};

const layerNorm: Emit = (call) => {
  const shape = call.plain<readonly number[]>(1, []);
  const filled = (value: number) =>
    call.graph.constant('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value));
  const scale = call.isGiven(2) ? call.value(2) : filled(1);
  return call.add('LayerNormalization', [call.value(0), scale, ...(call.isGiven(3) ? [call.value(3)] : [])], {
    axis: { int: call.sizesOf(0).length - shape.length },
    epsilon: { float: call.plain(4, 1e-5) },
  });
};

/** By running statistics. */
const batchNorm: Emit = (call) => {
  const channels = call.sizesOf(0)[1] as number;
  const filled = (value: number) =>
    call.graph.constant('float32', [channels], new Float32Array(channels).fill(value));
  const scale = call.isGiven(1) ? call.value(1) : filled(1);
  const bias = call.isGiven(2) ? call.value(2) : filled(0);
  if (call.plain(5, false)) throw new Error('export: the network is in training mode');
  return call.add('BatchNormalization', [call.value(0), scale, bias, call.value(3), call.value(4)], {
    epsilon: { float: call.plain(7, 1e-5) },
  });
};

const convolution: Emit = (call) => {
  const [, , ...kernel] = call.tensor(1).shape;
  const [down = 0, across = 0] = call.plain<readonly number[]>(4, [0, 0]);
  const bias = call.isGiven(2) ? [call.value(2)] : [];
  return call.add('Conv', [call.value(0), call.value(1), ...bias], {
    kernel_shape: { ints: kernel },
    strides: { ints: call.plain(3, [1, 1]) },
    pads: { ints: [down, across, down, across] },
    dilations: { ints: call.plain(5, [1, 1]) },
    group: { int: call.plain(6, 1) },
  });
};

const norm: Emit = (call) => {
  const p = call.plain<number>(1, 2);
  if (p !== 1 && p !== 2) throw new Error(`export: the norm of order ${p} has no place in ONNX here`);
  return reduced(p === 1 ? 'ReduceL1' : 'ReduceL2', 2, 3)(call);
};

const rolled: Emit = (call) => {
  const shifts = call.plain<readonly number[]>(1, []);
  return call.axes(2).reduce((value, axis, i) => {
    const size = call.sizesOf(0)[axis] as number;
    const first = (((-(shifts[i] as number) % size) + size) % size) as number;
    if (first === 0) return value;
    const halves = [call.sliced(value, axis, first, size), call.sliced(value, axis, 0, first)];
    return call.add('Concat', halves, { axis: { int: axis } });
  }, call.value(0));
};

const stacked: Emit = (call) => {
  const axis = call.axis(1, 0, call.sizes.length);
  const sizes = call.sizes.map((size, i) => (i === axis ? 1 : size));
  return call.add(
    'Concat',
    call.values(0).map((value) => call.reshaped(value, sizes)),
    { axis: { int: axis } },
  );
};

/** What of ATen the networks use in evaluation, in ONNX's operators; those that work in place by the name without `_`. */
export const operators: Readonly<Record<string, Emit>> = {
  'add.Tensor': scaled('Add'),
  'add.Scalar': scaled('Add'),
  'sub.Tensor': scaled('Sub'),
  'sub.Scalar': scaled('Sub'),
  'mul.Tensor': binary('Mul'),
  'mul.Scalar': binary('Mul'),
  'div.Tensor': binary('Div'),
  'div.Scalar': binary('Div'),
  'pow.Tensor_Scalar': binary('Pow'),
  'pow.Tensor_Tensor': binary('Pow'),
  matmul: binary('MatMul'),
  mm: binary('MatMul'),
  addcmul: (call) => {
    const product = call.add('Mul', [call.value(1), call.value(2)]);
    const value = call.plain(3, 1);
    return call.add('Add', [
      call.value(0),
      value === 1 ? product : call.add('Mul', [product, call.graph.scalar(value)]),
    ]);
  },
  neg: unary('Neg'),
  abs: unary('Abs'),
  exp: unary('Exp'),
  sqrt: unary('Sqrt'),
  reciprocal: unary('Reciprocal'),
  relu: unary('Relu'),
  sigmoid: unary('Sigmoid'),
  tanh: unary('Tanh'),
  square: (call) => call.add('Mul', [call.value(0), call.value(0)]),
  silu: (call) => call.add('Mul', [call.value(0), call.add('Sigmoid', [call.value(0)])]),
  hardswish: unary('HardSwish'),
  hardsigmoid: unary('HardSigmoid', { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  gelu: (call) => call.add('Gelu', [call.value(0)], { approximate: { string: call.plain(1, 'none') } }),
  'softmax.int': (call) => call.add('Softmax', [call.value(0)], { axis: { int: call.axis(1) } }),
  clamp: (call) => call.add('Clip', [call.value(0), call.optional(1), call.optional(2)]),
  'mean.dim': reduced('ReduceMean'),
  'sum.dim_IntList': reduced('ReduceSum'),
  amax: reduced('ReduceMax'),
  'norm.ScalarOpt_dim': norm,
  linear,
  conv2d: convolution,
  batch_norm: batchNorm,
  layer_norm: layerNorm,
  scaled_dot_product_attention: attention,
  max_pool2d: windows('MaxPool'),
  avg_pool2d: windows('AveragePool'),
  adaptive_avg_pool2d: pooledAdaptively('AveragePool'),
  adaptive_max_pool2d: pooledAdaptively('MaxPool'),
  constant_pad_nd: padded,
  view: reshaped,
  reshape: reshaped,
  unsqueeze: reshaped,
  'squeeze.dim': reshaped,
  'flatten.using_ints': reshaped,
  contiguous: same,
  detach: same,
  clone: same,
  'to.dtype_layout': same,
  'to.dtype': same,
  expand: expanded,
  permute: (call) => transposed(call, call.axes(1)),
  'transpose.int': (call) => swapped(call, call.sizesOf(0).length, call.axis(1), call.axis(2), call.value(0)),
  t: (call) => transposed(call, [1, 0]),
  narrow: (call) => {
    const start = call.plain(2, 0);
    return call.sliced(call.value(0), call.axis(1), start, start + call.plain(3, 0));
  },
  'select.int': (call) => {
    const axis = call.axis(1);
    const size = call.sizesOf(0)[axis] as number;
    const index = call.plain(2, 0);
    const at = call.graph.scalar(index < 0 ? index + size : index, 'int64');
    return call.add('Gather', [call.value(0), at], { axis: { int: axis } });
  },
  index_select: (call) => call.add('Gather', [call.value(0), call.value(2)], { axis: { int: call.axis(1) } }),
  flip: (call) =>
    call.axes(1).reduce((value, axis) => call.sliced(value, axis, -1, -(2 ** 31), -1), call.value(0)),
  roll: rolled,
  cat: (call) => {
    const rank = call.sizes.length;
    return call.add('Concat', call.values(0), { axis: { int: call.axis(1, 0, rank) } });
  },
  stack: stacked,
};
