import { Graph, type GraphNode, halfOf } from './graph.js';

/** Computed in float32 all the same: sums that a half cannot hold, and small numbers that are 0 there. */
const EXACT = new Set([
  'ReduceL1',
  'ReduceL2',
  'ReduceMean',
  'ReduceSum',
  'Clip',
  'Div',
  'Pow',
  'Reciprocal',
  'Sqrt',
]);
/** What only moves numbers, and leaves them of the type that they are of. */
const MOVING = new Set(['Reshape', 'Transpose', 'Expand', 'Slice', 'Gather', 'Identity', 'Pad']);

const ONNX_FLOAT32 = 1;
const ONNX_FLOAT16 = 10;

/**
 * The same graph with weights and activations in half precision. What goes in and comes out keeps its type; so do the
 * preprocessing, and what ends in a length of 1, so that a row of zeros stays zeros.
 *
 * @param from the first node that is to compute in halves
 * @throws Error for a weight beyond 65,504, the largest half
 */
export function halfGraph(graph: Graph, from: number): Graph {
  const half = new Graph(graph);
  const types = new Map<string, 'float16' | 'float32'>();
  for (const { outputs } of graph.nodes.slice(0, from))
    for (const name of outputs) types.set(name, 'float32');
  for (const { name, type } of graph.inputs) if (type === 'float32') types.set(name, type);
  half.nodes.push(...graph.nodes.slice(0, from));
  const cast = new Map<string, string>();
  const as = (name: string, type: 'float16' | 'float32'): string => {
    const constant = graph.constants.get(name);
    if (constant?.type === 'float32') return type === 'float32' ? name : halfConstant(half, name);
    const is = types.get(name);
    if (is === undefined || is === type) return name;
    const key = `${name} ${type}`;
    const known =
      cast.get(key) ??
      half.add('Cast', [name], { to: { int: type === 'float16' ? ONNX_FLOAT16 : ONNX_FLOAT32 } });
    cast.set(key, known);
    return known;
  };
  const isFloat = (name: string) => types.has(name) || graph.constants.get(name)?.type === 'float32';
  for (const node of graph.nodes.slice(from)) {
    const type = typeOf(node, types);
    const computes = node.operator !== 'Shape' && node.inputs.some(isFloat);
    half.nodes.push(computes ? { ...node, inputs: node.inputs.map((name) => as(name, type)) } : node);
    if (computes) for (const name of node.outputs) types.set(name, type);
  }
  for (const port of graph.outputs) {
    const last = half.nodes.findLast(({ outputs }) => outputs.includes(port.name)) as GraphNode;
    if (types.get(port.name) === 'float16') {
      const [name] = last.inputs;
      half.nodes.splice(half.nodes.indexOf(last), 1);
      half.add('Cast', [name as string], { to: { int: ONNX_FLOAT32 } }, port.name);
    }
  }
  half.dropUnused();
  return half;
}

function typeOf({ operator, inputs }: GraphNode, types: ReadonlyMap<string, 'float16' | 'float32'>) {
  if (EXACT.has(operator)) return 'float32';
  return MOVING.has(operator) ? (types.get(inputs[0] as string) ?? 'float16') : 'float16';
}

/** A constant in halves, beside the one that it is made of. */
function halfConstant(graph: Graph, name: string): string {
  const halfName = `${name}_half`;
  if (graph.constants.has(halfName)) return halfName;
  const { shape, data } = graph.constants.get(name)!;
  const values = new Float32Array(data.slice().buffer);
  if (values.some((value) => Math.abs(value) > 65_504))
    throw new Error(
      `export: a weight of ${values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)} is beyond the largest half, 65504`,
    );
  const halves = Uint16Array.from(values, halfOf);
  graph.constants.set(halfName, {
    name: halfName,
    type: 'float16',
    shape,
    data: new Uint8Array(halves.buffer),
  });
  return halfName;
}
