import { type Fields, float, integer, message, parts, string } from '../../protobuf.js';
import type { Attribute, Constant, ElementType, Graph, GraphNode, GraphPort } from './graph.js';

/** Operators are as of this version of ONNX (1.15). onnxruntime reads it from 1.17 on. */
export const OPSET = 20;
/** Of the file's own form, which goes with that. */
const IR_VERSION = 9;

/** ONNX's numbers of the types (TensorProto.DataType). */
const types: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  float16: 10,
  float64: 11,
};

/** Beyond this no reader of protobuf takes a file. */
export const MOST_BYTES = 2 ** 31 - 1;

export interface OnnxHeader {
  producer: string;
  version: string;
  metadata: Readonly<Record<string, string>>;
}

/** A graph as an ONNX file (onnx.proto, ModelProto): its bytes, in parts. */
export function onnxFile(graph: Graph, { producer, version, metadata }: OnnxHeader): Fields {
  const body = [
    ...graph.nodes.map((node) => message(1, nodeOf(node))),
    string(2, 'conquer'),
    ...[...graph.constants.values()].flatMap((constant) => parts(5, tensorOf(constant))),
    ...graph.inputs.map((port) => message(11, portOf(port))),
    ...graph.outputs.map((port) => message(12, portOf(port))),
  ];
  return [
    integer(1, IR_VERSION),
    string(2, producer),
    string(3, version),
    ...parts(7, body),
    message(8, [string(1, ''), integer(2, OPSET)]),
    ...Object.entries(metadata).map(([key, value]) => message(14, [string(1, key), string(2, value)])),
  ];
}

function nodeOf({ operator, inputs, outputs, attributes }: GraphNode): Fields {
  return [
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    string(3, `${operator}_${outputs[0]}`),
    string(4, operator),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, [string(1, name), ...attributeOf(value)]),
    ),
  ];
}

function attributeOf(value: Attribute): Fields {
  if ('float' in value) return [float(2, value.float), integer(20, 1)];
  if ('int' in value) return [integer(3, value.int), integer(20, 2)];
  if ('string' in value) return [string(4, value.string), integer(20, 3)];
  return [...value.ints.map((each) => integer(8, each)), integer(20, 7)];
}

function tensorOf({ name, type, shape, data }: Constant): Fields {
  return [
    ...shape.map((size) => integer(1, size)),
    integer(2, types[type]),
    string(8, name),
    ...parts(9, [data]),
  ];
}

function portOf({ name, type, shape }: GraphPort): Fields {
  const sizes = shape.map((size) =>
    message(1, [typeof size === 'number' ? integer(1, size) : string(2, size)]),
  );
  return [string(1, name), message(2, [message(1, [integer(1, types[type]), message(2, sizes)])])];
}
