import type { Tensor } from '@conquer-dml/torch';
import { type Constant, Graph, type GraphNode } from './graph.js';

/** Least and largest number of each value, over the photos that were traced. */
export class ValueRanges {
  readonly of = new Map<string, readonly [number, number]>();

  readonly take = (name: string, value: Tensor): void => {
    this.of.set(name, [value.min().item(), value.max().item()]);
  };
}

/** Weights have 7 bits: sums of products of 8 overflow in the 16 bits that processors without VNNI add them in. */
const LARGEST_WEIGHT = 63;

/**
 * The same graph with its convolutions and linear layers in 8 bits: weights by output channel, symmetric; activations by value, from
 * the range that they had on photos. Written as QuantizeLinear and DequantizeLinear around them, which runtimes fuse; the rest stays
 * float32.
 *
 * @param from the first node of the network
 */
export function int8Graph(graph: Graph, from: number, { of: ranges }: ValueRanges): Graph {
  const bytes = new Graph(graph);
  bytes.nodes.push(...graph.nodes.slice(0, from));
  const nodes = graph.nodes.slice(from);
  const known = new Map<string, string>();
  for (const node of nodes) {
    const [input = '', weight = '', bias = ''] = node.inputs;
    const weights = graph.constants.get(weight);
    const range = ranges.get(input);
    if (!isQuantized(node) || weights === undefined || range === undefined) {
      bytes.nodes.push(node);
      continue;
    }
    const step = stepOf(range);
    const given = known.get(input) ?? roundTrip(bytes, input, step);
    known.set(input, given);
    const axis = node.operator === 'Conv' ? 0 : 1;
    const { name, scales } = quantizedWeight(bytes, weights, axis);
    const inputs = [given, name];
    const biases = graph.constants.get(bias);
    if (biases !== undefined)
      inputs.push(
        quantizedBias(
          bytes,
          biases,
          scales.map((scale) => scale * step.scale),
        ),
      );
    const [output = ''] = node.outputs;
    const behind = rangeBehind(graph, nodes, output, ranges);
    if (node.operator !== 'Conv' || behind === undefined) {
      bytes.nodes.push({ ...node, inputs });
      continue;
    }
    const raw = bytes.fresh();
    bytes.nodes.push({ ...node, inputs, outputs: [raw] });
    roundTrip(bytes, raw, stepOf(behind), output);
  }
  bytes.dropUnused();
  return bytes;
}

const isQuantized = ({ operator, inputs }: GraphNode) =>
  operator === 'Conv' || (operator === 'MatMul' && inputs.length === 2);

interface Step {
  scale: number;
  zero: number;
}

/** Of 256 steps that have a 0 among them. */
function stepOf([least, largest]: readonly [number, number]): Step {
  const [low, high] = [Math.min(least, 0), Math.max(largest, 0)];
  const scale = Math.fround((high - low) / 255) || 1;
  return { scale, zero: Math.round(-low / scale) };
}

/** The range of a convolution's result, cut where all that follows it is one ReLU, or one that has an upper end. */
function rangeBehind(graph: Graph, nodes: readonly GraphNode[], output: string, ranges: ValueRanges['of']) {
  const range = ranges.get(output);
  const followers = nodes.filter(({ inputs }) => inputs.includes(output));
  const [only] = followers;
  if (range === undefined || only === undefined || followers.length > 1) return range;
  if (only.operator === 'Relu') return [0, Math.max(0, range[1])] as const;
  if (only.operator !== 'Clip') return range;
  const bound = (place: number, otherwise: number) => {
    const constant = graph.constants.get(only.inputs[place] ?? '');
    return constant === undefined ? otherwise : (floatsOf(constant)[0] as number);
  };
  return [Math.max(range[0], bound(1, range[0])), Math.min(range[1], bound(2, range[1]))] as const;
}

function roundTrip(graph: Graph, value: string, { scale, zero }: Step, output?: string): string {
  const step = [graph.scalar(scale), graph.scalar(zero, 'uint8')];
  return graph.add('DequantizeLinear', [graph.add('QuantizeLinear', [value, ...step]), ...step], {}, output);
}

const floatsOf = ({ data }: Constant) => new Float32Array(data.slice().buffer);

/** Symmetric, a scale for each output channel. */
function quantizedWeight(graph: Graph, weight: Constant, axis: 0 | 1) {
  const { shape } = weight;
  const values = floatsOf(weight);
  const channels = shape[axis] as number;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  const largest = new Float64Array(channels);
  for (const [i, value] of values.entries())
    largest[channelOf(i)] = Math.max(largest[channelOf(i)]!, Math.abs(value));
  const scales = Array.from(largest, (value) => Math.fround(value / LARGEST_WEIGHT) || 1);
  const rounded = Int8Array.from(values, (value, i) => Math.round(value / scales[channelOf(i)]!));
  const name = graph.add(
    'DequantizeLinear',
    [
      graph.constant('int8', shape, rounded),
      graph.constant('float32', [channels], scales),
      graph.constant('int8', [channels], new Int8Array(channels)),
    ],
    { axis: { int: axis } },
  );
  return { name, scales };
}

/** In 32 bits, of the scale that the products have. */
function quantizedBias(graph: Graph, bias: Constant, given: readonly number[]): string {
  const scales = given.map(Math.fround);
  const most = 2 ** 31 - 1;
  const rounded = Int32Array.from(floatsOf(bias), (value, i) =>
    Math.max(-most, Math.min(most, Math.round(value / scales[i]!))),
  );
  const { length } = scales;
  return graph.add(
    'DequantizeLinear',
    [
      graph.constant('int32', [length], rounded),
      graph.constant('float32', [length], scales),
      graph.constant('int32', [length], new Int32Array(length)),
    ],
    { axis: { int: 0 } },
  );
}
