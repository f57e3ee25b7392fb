import type { Attribute } from './graph.js';
import type { TracedCall } from './traced-call.js';

type Pooling = 'MaxPool' | 'AveragePool';
type Emit = (call: TracedCall) => string;

const sidesOf = (sizes: readonly unknown[]) => sizes.slice(-2) as [number, number];

function pool(call: TracedCall, operator: Pooling, attributes: Readonly<Record<string, Attribute>>): string {
  return call.add(operator, [call.value(0)], attributes);
}

/**
 * max_pool2d and avg_pool2d. How far the last windows reach over the border is said in pixels, by the size that came out: what
 * ONNX's ceil_mode means is not what PyTorch's does.
 */
export function windows(operator: Pooling): Emit {
  return (call) => {
    const isMax = operator === 'MaxPool';
    const kernel = call.plain<readonly number[]>(1, []);
    const given = call.plain<readonly number[]>(2, []);
    const strides = given.length === 0 ? kernel : given;
    const padding = call.plain<readonly number[]>(3, [0, 0]);
    const dilations = isMax ? call.plain<readonly number[]>(4, [1, 1]) : [1, 1];
    const [from, to] = [sidesOf(call.sizesOf(0)), sidesOf(call.sizes)];
    const behind = [0, 1].map((i) => {
      const reach = (to[i]! - 1) * strides[i]! + dilations[i]! * (kernel[i]! - 1) + 1;
      return Math.max(0, reach - from[i]! - padding[i]!);
    });
    const counts = !isMax && call.plain(5, true) && padding.some((pixels) => pixels > 0);
    if (counts && behind.some((pixels, i) => pixels > padding[i]!))
      throw new Error('export: an average that counts zeros of its padding reaches beyond them');
    return pool(call, operator, {
      kernel_shape: { ints: kernel },
      strides: { ints: strides },
      pads: { ints: [...padding, ...behind] },
      ...(isMax ? { dilations: { ints: dilations } } : { count_include_pad: { int: counts ? 1 : 0 } }),
    });
  };
}

/** Of a whole map, or of cells that are alike; where they are not, averages as two products with fixed matrices. */
export function pooledAdaptively(operator: Pooling): Emit {
  return (call) => {
    const [from, to] = [sidesOf(call.sizesOf(0)), sidesOf(call.sizes)];
    if (to[0] === 1 && to[1] === 1) return call.add(`Global${operator}`, [call.value(0)]);
    if (from.every((side, i) => side === to[i])) return call.value(0);
    if (from.every((side, i) => side % to[i]! === 0)) {
      const cell = from.map((side, i) => side / to[i]!);
      return pool(call, operator, { kernel_shape: { ints: cell }, strides: { ints: cell } });
    }
    if (operator === 'MaxPool')
      throw new Error(
        `export: the maximum of ${to.join(' × ')} cells of ${from.join(' × ')} has no place in ONNX here`,
      );
    const rows = call.graph.constant('float32', [to[0], from[0]], shares(from[0], to[0]));
    const columns = call.graph.constant('float32', [to[1], from[1]], shares(from[1], to[1]));
    const turned = call.add('Transpose', [columns], { perm: { ints: [1, 0] } });
    return call.add('MatMul', [call.add('MatMul', [rows, call.value(0)]), turned]);
  };
}

/** (to, from): how much of each place is in each cell; cells overlap as PyTorch's do. */
function shares(from: number, to: number): Float64Array {
  const matrix = new Float64Array(to * from);
  for (let cell = 0; cell < to; cell++) {
    const start = Math.floor((cell * from) / to);
    const end = Math.ceil(((cell + 1) * from) / to);
    matrix.fill(1 / (end - start), cell * from + start, cell * from + end);
  }
  return matrix;
}

/** constant_pad_nd: from the last dimension on, before and behind each. */
export function padded(call: TracedCall): string {
  const pads = call.plain<readonly number[]>(1, []);
  const rank = call.sizes.length;
  const at = (axis: number, behind: 0 | 1) => pads[2 * (rank - 1 - axis) + behind] ?? 0;
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const all = [...axes.map((axis) => at(axis, 0)), ...axes.map((axis) => at(axis, 1))];
  return call.add('Pad', [call.value(0), call.graph.integers(all), call.graph.scalar(call.plain(2, 0))]);
}
