import type { ElementType } from './element-types.js';

/** One entry of a state dict: a contiguous tensor that fills the storage with this key. */
export interface StateDictEntry {
  name: string;
  key: string;
  type: ElementType;
  shape: readonly number[];
}

const MARK = Buffer.from('(');
const TUPLE = Buffer.from('t');
const REDUCE = Buffer.from('R');
const EMPTY_TUPLE = Buffer.from(')');
const NEWFALSE = Buffer.from([0x89]);
const PERSISTENT_ID = Buffer.from('Q');

/**
 * The pickle of an OrderedDict of tensors, in protocol 2 and with the opcodes that `torch.save` uses, so that
 * every reader of such files, `weights_only` ones too, knows them.
 */
export function encodeStateDict(entries: readonly StateDictEntry[]): Buffer {
  const orderedDict = global('collections', 'OrderedDict');
  const rebuild = global('torch._utils', '_rebuild_tensor_v2');
  const parts: Buffer[] = [Buffer.from([0x80, 2]), orderedDict, EMPTY_TUPLE, REDUCE, MARK];
  for (const { name, key, type, shape } of entries) {
    const numel = shape.reduce((product, size) => product * size, 1);
    parts.push(text(name), rebuild, MARK);
    // The storage: ('storage', class, key, location, elements)
    parts.push(MARK, text('storage'), global('torch', type.storage), text(key), text('cpu'), integer(numel));
    parts.push(TUPLE, PERSISTENT_ID);
    // Offset, shape, strides, requires_grad, hooks.
    parts.push(integer(0), tuple(shape), tuple(contiguousStrides(shape)), NEWFALSE);
    parts.push(orderedDict, EMPTY_TUPLE, REDUCE, TUPLE, REDUCE);
  }
  parts.push(Buffer.from('u.')); // SETITEMS, STOP
  return Buffer.concat(parts);
}

function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let dim = shape.length - 1; dim >= 0; dim--) {
    strides[dim] = stride;
    stride *= Math.max(shape[dim] ?? 1, 1);
  }
  return strides;
}

function global(module: string, name: string): Buffer {
  return Buffer.from(`c${module}\n${name}\n`);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.from('X\0\0\0\0');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function tuple(values: readonly number[]): Buffer {
  return Buffer.concat([MARK, ...values.map(integer), TUPLE]);
}

function integer(value: number): Buffer {
  if (value <= 0xff) return Buffer.from([0x4b, value]); // BININT1
  if (value <= 0x7fffffff) {
    const bytes = Buffer.from('J\0\0\0\0'); // BININT
    bytes.writeInt32LE(value, 1);
    return bytes;
  }
  const bytes = Buffer.from([0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0]); // LONG1 of 8 bytes
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}
