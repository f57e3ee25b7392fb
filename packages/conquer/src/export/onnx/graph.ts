/** Of a tensor in a graph: what its numbers are. */
export type ElementType = 'float32' | 'float16' | 'float64' | 'uint8' | 'int8' | 'int32' | 'int64';

/** A node's setting, by the kind that ONNX has it in. */
export type Attribute =
  | { float: number }
  | { int: number }
  | { ints: readonly number[] }
  | { string: string };

export interface GraphNode {
  operator: string;
  /** Names of values; '' for one that is left out. */
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, Attribute>>;
}

/** A value that the graph brings along. */
export interface Constant {
  name: string;
  type: ElementType;
  shape: readonly number[];
  /** Row-major, little-endian. */
  data: Uint8Array;
}

/** Input or output; a text in its shape is the name of a size that the caller has. */
export interface GraphPort {
  name: string;
  type: ElementType;
  shape: readonly (number | string)[];
}

type Numbers = ArrayLike<number>;

/** An ONNX graph in the making: nodes in their order, and the constants that they need. */
export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly constants: Map<string, Constant> = new Map();
  readonly inputs: GraphPort[] = [];
  readonly outputs: GraphPort[] = [];
  readonly #known = new Map<string, string>();
  #count = 0;

  /** @param of whose constants, inputs and outputs it has, and none of whose nodes; default: of none */
  constructor(of?: Graph) {
    if (of === undefined) return;
    this.constants = new Map(of.constants);
    this.inputs.push(...of.inputs);
    this.outputs.push(...of.outputs);
    this.#count = of.#count;
  }

  /** A name that no value has. */
  fresh(): string {
    return `v${this.#count++}`;
  }

  /** Adds a node with one output. @returns the name of that */
  add(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = this.fresh(),
  ): string {
    this.nodes.push({ operator, inputs, outputs: [output], attributes });
    return output;
  }

  /** Brings numbers along. @returns the name; small equal ones are there once */
  constant(type: ElementType, shape: readonly number[], values: Numbers): string {
    const data = bytesOf(type, values);
    const key = data.length <= 256 ? `${type} ${shape} ${Buffer.from(data).toString('base64')}` : null;
    const known = key === null ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    const name = `c${this.#count++}`;
    this.constants.set(name, { name, type, shape, data });
    if (key !== null) this.#known.set(key, name);
    return name;
  }

  /** (values.length) whole numbers: shapes, axes, places. */
  integers(values: readonly number[]): string {
    return this.constant('int64', [values.length], values);
  }

  /** Forgets constants that no node takes. */
  dropUnused(): void {
    const used = new Set(this.nodes.flatMap(({ inputs }) => inputs));
    for (const name of this.constants.keys()) if (!used.has(name)) this.constants.delete(name);
  }

  /** A number without dimensions. */
  scalar(value: number, type: ElementType = 'float32'): string {
    return this.constant(type, [], [value]);
  }
}

/** Numbers as ONNX stores them. */
export function bytesOf(type: ElementType, values: Numbers): Uint8Array {
  const typed = typedArray(type, values);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

function typedArray(type: ElementType, values: Numbers) {
  switch (type) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'float16':
      return Uint16Array.from(values, halfOf);
    case 'uint8':
      return Uint8Array.from(values);
    case 'int8':
      return Int8Array.from(values);
    case 'int32':
      return Int32Array.from(values);
    case 'int64':
      return BigInt64Array.from(Array.from(values, BigInt));
  }
}

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/** The 16 bits of the nearest IEEE half, ties to even; beyond 65,504 infinity. */
export function halfOf(value: number): number {
  single[0] = value;
  const word = bits[0] as number;
  const sign = (word >>> 16) & 0x8000;
  const exponent = (word >>> 23) & 0xff;
  const mantissa = word & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  const scaled = exponent - 112;
  if (scaled >= 31) return sign | 0x7c00;
  if (scaled <= 0) {
    if (scaled < -10) return sign;
    return sign | rounded(mantissa | 0x800000, 14 - scaled);
  }
  return sign | ((scaled << 10) + rounded(mantissa, 13));
}

/** value / 2^shift, ties to even. A carry goes into the exponent, as it should. */
function rounded(value: number, shift: number): number {
  const below = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return below + (rest > half || (rest === half && below % 2 === 1) ? 1 : 0);
}
