import { elementCount } from './element-types.js';
import { COST, type MemoryBudget } from './memory-budget.js';
import type {
  OpaqueObject,
  PickleGlobal,
  PickleItem,
  PickleReference,
  StorageReference,
  TensorReference,
} from './pickle-values.js';
import type { SerializationError } from './serialization-error.js';
import { storedTypesByName, storedTypesByStorage, UNTYPED } from './stored-type.js';

/** The most that libtorch's iterators take. */
const MAX_DIMENSIONS = 64;

/** Names of PyTorch's that stand for themselves beside the dtypes that tensors are read of. */
const MENTIONED = [
  ...[8, 16, '1x8', '2x4', '4x2'].map((bits) => `bits${bits}`),
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [`int${bits}`, `uint${bits}`]),
  ...['per_tensor_affine', 'per_tensor_symmetric', 'per_channel_affine', 'per_channel_symmetric'],
  'per_channel_affine_float_qparams',
];

/** Classes whose objects are the tensors that they are made of. */
const TENSOR_CLASSES = new Set(['torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer']);

type Call = (args: PickleItem[]) => PickleItem;

/**
 * The classes and functions that a pickle may name and use: those of PyTorch's state dicts and of Python's plain
 * containers. Each stands for a few lines of TypeScript below. Everything else is an {@link OpaqueObject}: nothing that
 * the file brings is ever run.
 */
export class PickleGlobals {
  readonly #budget: MemoryBudget;
  readonly #fail: (message: string) => SerializationError;
  readonly #known = new Map<string, PickleGlobal | OpaqueObject | string>();
  /** What makes a tensor by itself, and so may stand within `_rebuild_from_type_v2`. */
  readonly #tensorCalls: ReadonlySet<Call>;
  /** Every storage that the pickle named, by key. */
  readonly storages = new Map<string, StorageReference>();

  /** @param fail makes the error for a message, with the place in the file. */
  constructor(budget: MemoryBudget, fail: (message: string) => SerializationError) {
    this.#budget = budget;
    this.#fail = fail;
    const set: Call = (args) => this.#set(args);
    const bytes: Call = (args) => this.#bytes(args);
    const tensor: Call = (args) => this.#tensor(args);
    const typed: Call = (args) => this.#typedTensor(args);
    const parameter: Call = (args) => this.#parameter(args);
    this.#tensorCalls = new Set([tensor, typed, parameter]);
    const calls: [string, Call][] = [
      ['collections.OrderedDict', (args) => this.#map(args)],
      ['collections.defaultdict', ([, ...rest]) => this.#map(rest)],
      ['collections.Counter', (args) => this.#map(args)],
      ['torch._utils._rebuild_tensor_v2', tensor],
      // Before PyTorch 0.4:
      ['torch._utils._rebuild_tensor', tensor],
      // Of dtypes that came after PyTorch 2.0: the storage has no type.
      ['torch._utils._rebuild_tensor_v3', typed],
      ['torch._utils._rebuild_parameter', parameter],
      // With attributes that somebody set; they are left out.
      ['torch._utils._rebuild_parameter_with_state', parameter],
      // Before PyTorch 0.4:
      ['torch.nn.parameter.Parameter', parameter],
      ['torch._tensor._rebuild_from_type_v2', (args) => this.#fromType(args)],
      ['torch.Size', (args) => this.#list(args)],
      ['torch.device', (args) => this.#device(args)],
      ['torch.serialization._get_layout', (args) => this.#layout(args)],
      ['_codecs.encode', (args) => this.#latin1(args)],
      // Python 2 and 3. Protocol 2 has no opcodes for sets and bytes.
      ...['builtins', '__builtin__'].flatMap((module): [string, Call][] => [
        [`${module}.set`, set],
        [`${module}.frozenset`, set],
        [`${module}.bytes`, bytes],
        [`${module}.bytearray`, bytes],
        [`${module}.complex`, (args) => this.#complex(args)],
      ]),
    ];
    for (const [name, call] of calls) this.#known.set(name, { kind: 'global', name, call });
    for (const [storage, type] of storedTypesByStorage) {
      for (const name of [`torch.${storage}`, `torch.cuda.${storage}`, `torch.storage.${storage}`]) {
        this.#known.set(name, { kind: 'global', name, type });
      }
    }
    for (const name of [...storedTypesByName.keys(), ...MENTIONED]) this.#known.set(`torch.${name}`, name);
  }

  /** What `module.name` stands for; a `torch.dtype` is its name. */
  find(name: string): PickleGlobal | OpaqueObject | string {
    const found = this.#known.get(name);
    if (found !== undefined) return found;
    this.#budget.charge(COST.map + name.length);
    const unknown: OpaqueObject = { kind: 'opaque', name: printable(name) };
    this.#known.set(name, unknown);
    return unknown;
  }

  /** `callable(*args)`. What comes of something unknown is as unknown as itself. */
  call(callable: PickleItem, args: PickleItem): PickleItem {
    if (isReference(callable) && callable.kind === 'opaque') return callable;
    if (!isReference(callable) || callable.kind !== 'global' || callable.call === undefined) {
      throw this.#fail('refused to call something that is not a known class or function');
    }
    if (!Array.isArray(args)) throw this.#fail('it calls with something that is not a tuple');
    return callable.call(args);
  }

  /** `object.__setstate__(state)`, where the object is one of ours. */
  setState(target: PickleItem | undefined, state: PickleItem | undefined): void {
    // The attributes of an OrderedDict: `_metadata`, the versions of a state dict's modules.
    if (target instanceof Map) return;
    if (isReference(target) && target.kind === 'opaque') return;
    if (isReference(target) && target.kind === 'tensor' && Array.isArray(state)) {
      // A Parameter's (requires_grad, volatile, hooks), before PyTorch 0.4.
      const [requiresGrad] = state;
      if (state.length === 3 && typeof requiresGrad === 'boolean') {
        target.requiresGrad = false;
        if (requiresGrad) this.#requireGrad(target);
        return;
      }
    }
    throw this.#fail('refused to set the state of something that is neither an OrderedDict nor a Parameter');
  }

  /**
   * A storage from the tuple ('storage', type, key, location, numel), with a view in files before PyTorch 0.4; or, in
   * files before PyTorch 1.6, the class of a whole module, from ('module', class, source file, source).
   */
  persistent(id: PickleItem | undefined): PickleItem {
    if (Array.isArray(id) && id[0] === 'module') return id[1] ?? null;
    if (!Array.isArray(id) || id[0] !== 'storage')
      throw this.#fail("expected the persistent id of a 'storage'");
    const [, global, key, , numel, view] = id;
    if (!isReference(global) || global.kind !== 'global' || global.type === undefined) {
      throw this.#fail('expected the class of a storage in its persistent id');
    }
    const { type } = global;
    if (typeof key !== 'string' || !isNatural(numel)) throw this.#fail('a storage has no key or no size');
    const [, start, length] = Array.isArray(view) ? view : [null, 0, numel];
    if (!isNatural(start) || !isNatural(length) || start + length > numel) {
      throw this.#fail(`a view of storage ${printable(key)} is out of its bounds`);
    }
    const known = this.storages.get(key);
    if (known !== undefined && !isSameStorage(known, { type, numel })) {
      throw this.#fail(`storage ${printable(key)} appears with two types or sizes`);
    }
    this.#budget.charge(COST.map);
    const storage: StorageReference = { kind: 'storage', key, type, numel, start, length };
    this.storages.set(key, storage);
    return storage;
  }

  /** (storage, offset, size, stride[, requires_grad, hooks[, metadata]]) */
  #tensor([storage, offset, size, stride, requiresGrad, , metadata]: PickleItem[]): TensorReference {
    if (!isReference(storage) || storage.kind !== 'storage') throw this.#fail('a tensor has no storage');
    const shape = this.#naturals(size, 'shape');
    const strides = this.#naturals(stride, 'strides');
    if (shape.length !== strides.length || !isNatural(offset)) {
      throw this.#fail('a tensor needs an offset, and as many strides as sizes');
    }
    const count = elementCount(shape);
    const reach = shape.reduce((sum, size, dim) => sum + Math.max(size - 1, 0) * (strides[dim] ?? 0), offset);
    if (Number.isNaN(count) || offset > storage.length || (count > 0 && !(reach < storage.length))) {
      throw this.#fail(
        `a tensor of shape [${shape.join(', ')}], strides [${strides.join(', ')}] and offset ${offset} is out of the bounds of storage ${printable(storage.key)}, which has ${storage.length} elements`,
      );
    }
    const { type } = storage;
    // An expanded tensor (stride 0) stays as small as its storage, but not in the hands of whoever copies it.
    const surplus = Math.max(count - storage.length, 0) * (type.bits / 8);
    this.#budget.charge(COST.tensor + surplus);
    const tensor: TensorReference = {
      ...{ kind: 'tensor', storage, type, offset, shape, strides, requiresGrad: false },
      ...this.#marks(metadata, type.name),
    };
    if (requiresGrad === true) this.#requireGrad(tensor);
    return tensor;
  }

  /** (storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]): the storage counts bytes. */
  #typedTensor(args: PickleItem[]): PickleItem {
    const [storage, offset, size, stride, requiresGrad, hooks, dtype, metadata] = args;
    if (!isReference(storage) || storage.kind !== 'storage') throw this.#fail('a tensor has no storage');
    if (typeof dtype !== 'string') throw this.#fail('a tensor has no dtype');
    const type = storedTypesByName.get(dtype);
    if (type === undefined) return this.find(`torch.Tensor of ${dtype}`);
    const scale = storage.type.bits / type.bits;
    const [numel, start, length] = [storage.numel * scale, storage.start * scale, storage.length * scale];
    if (![numel, start, length].every(Number.isSafeInteger)) {
      throw this.#fail(`storage ${printable(storage.key)} does not hold whole numbers of ${dtype}`);
    }
    const retyped: StorageReference = { ...storage, type, numel, start, length };
    return this.#tensor([retyped, offset, size, stride, requiresGrad, hooks, metadata] as PickleItem[]);
  }

  /** What PyTorch notes of a tensor beside its numbers: a dictionary of `neg` and `conj`, or nothing. */
  #marks(metadata: PickleItem | undefined, dtype: string): Pick<TensorReference, 'negated' | 'obstacle'> {
    if (metadata === undefined || metadata === null) return { negated: false, obstacle: null };
    if (!(metadata instanceof Map)) return { negated: false, obstacle: 'has metadata of an unknown form' };
    let negated = false;
    for (const [mark, value] of metadata) {
      if (value === false) continue;
      if (mark !== 'neg' || value !== true || !/^(b?float|int|uint8)/.test(dtype)) {
        const name = typeof mark === 'string' ? printable(mark) : 'metadata';
        return { negated: false, obstacle: `has the mark '${name}', which is not read for ${dtype}` };
      }
      negated = true;
    }
    return { negated, obstacle: null };
  }

  /** (data[, requires_grad, hooks[, attributes]]) */
  #parameter([data, requiresGrad]: PickleItem[]): PickleItem {
    if (isReference(data) && data.kind === 'opaque') return data;
    if (!isReference(data) || data.kind !== 'tensor') throw this.#fail('a Parameter has no tensor');
    this.#budget.charge(COST.tensor);
    const parameter: TensorReference = { ...data, requiresGrad: false };
    if (requiresGrad !== false) this.#requireGrad(parameter);
    return parameter;
  }

  /** (function, class, its arguments, attributes): a tensor of a class, its attributes left out. */
  #fromType([rebuild, type, args]: PickleItem[]): PickleItem {
    if (!isReference(type) || (type.kind !== 'global' && type.kind !== 'opaque'))
      throw this.#fail('expected the class of a tensor');
    if (!TENSOR_CLASSES.has(type.name)) return type;
    const isOurs =
      isReference(rebuild) && rebuild.kind === 'global' && this.#tensorCalls.has(rebuild.call as Call);
    // Only one level: arguments that contain themselves would never end.
    if (isReference(rebuild) && (isOurs || rebuild.kind === 'opaque'))
      return this.call(rebuild, args ?? null);
    throw this.#fail('expected a function that rebuilds a tensor');
  }

  #requireGrad(tensor: TensorReference): void {
    const { name } = tensor.type;
    if (!/float|complex/.test(name)) throw this.#fail(`a tensor of ${name} cannot require a gradient`);
    tensor.requiresGrad = true;
  }

  /** ([[key, value], ...]?), or a dictionary */
  #map(args: PickleItem[]): PickleItem {
    const [pairs] = args;
    if (args.length > 1 || !(pairs === undefined || Array.isArray(pairs) || pairs instanceof Map)) {
      throw this.#fail('a dictionary can only be made of a list of pairs, or of another one');
    }
    const count = pairs instanceof Map ? pairs.size : (pairs?.length ?? 0);
    this.#budget.charge(COST.map + COST.entry * count);
    if (pairs instanceof Map) return new Map(pairs);
    const map: Map<PickleItem, PickleItem> = new Map();
    for (const pair of pairs ?? []) {
      if (!Array.isArray(pair) || pair.length !== 2) throw this.#fail('a dictionary needs pairs');
      map.set(this.key(pair[0]), pair[1] as PickleItem);
    }
    return map;
  }

  #set(args: PickleItem[]): PickleItem {
    const items = this.#list(args) as PickleItem[];
    this.#budget.charge(COST.map + COST.entry * items.length);
    return new Set(items.map((item) => this.key(item)));
  }

  #list(args: PickleItem[]): PickleItem {
    const [items] = args;
    if (args.length > 1 || (items !== undefined && !Array.isArray(items)))
      throw this.#fail('expected a list');
    this.#budget.charge(COST.array + COST.slot * (items?.length ?? 0));
    return [...(items ?? [])];
  }

  /** (), other bytes, or a text and its encoding, as protocol 2 has a bytearray */
  #bytes(args: PickleItem[]): PickleItem {
    const [content] = args;
    if (args.length === 2) return this.#latin1(args);
    if (args.length > 1 || !(content === undefined || content instanceof Uint8Array)) {
      throw this.#fail('bytes can only be made of nothing, of bytes, or of text');
    }
    this.#budget.charge(COST.map + (content?.length ?? 0));
    return new Uint8Array(content ?? []);
  }

  /** (text, 'latin1'): bytes. */
  #latin1([text, encoding]: PickleItem[]): PickleItem {
    if (typeof text !== 'string' || (encoding !== 'latin1' && encoding !== 'latin-1'))
      throw this.#fail("expected _codecs.encode(text, 'latin1')");
    this.#budget.charge(COST.map + text.length);
    const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
    if (Buffer.from(bytes).toString('latin1') !== text)
      throw this.#fail('text for bytes holds a character over 255');
    return bytes;
  }

  /** (real, imaginary): an array of the two. */
  #complex(args: PickleItem[]): PickleItem {
    if (args.length > 2 || !args.every((part) => typeof part === 'number'))
      throw this.#fail('expected the two parts of a complex number');
    this.#budget.charge(COST.array);
    return [args[0] ?? 0, args[1] ?? 0];
  }

  /** (kind[, index]): `cpu`, `cuda:0`. */
  #device([kind, index]: PickleItem[]): PickleItem {
    if (typeof kind !== 'string' || !(index === undefined || isNatural(index)))
      throw this.#fail('expected the kind of a device and its number');
    this.#budget.charge(COST.text + 2 * kind.length);
    return index === undefined ? kind : `${kind}:${index}`;
  }

  /** ('torch.strided'): `strided`. */
  #layout([name]: PickleItem[]): PickleItem {
    if (typeof name !== 'string') throw this.#fail('expected the name of a layout');
    this.#budget.charge(COST.text + 2 * name.length);
    return name.replace(/^torch\./, '');
  }

  /** The item, if Python could hash it. A tuple has become an array; it is a key by identity. */
  key(item: PickleItem | undefined): PickleItem {
    if (item === undefined || item instanceof Map) {
      throw this.#fail('a key or set element is a dictionary, or missing');
    }
    return item;
  }

  #naturals(items: PickleItem | undefined, what: string): number[] {
    if (!Array.isArray(items) || items.length > MAX_DIMENSIONS || !items.every(isNatural)) {
      throw this.#fail(`the ${what} of a tensor must be at most ${MAX_DIMENSIONS} integers from 0 to 2^53`);
    }
    return [...items];
  }
}

/** Two tensors may share a storage of one type; one that gives it a type of its own names it untyped. */
function isSameStorage(a: StorageReference, b: Pick<StorageReference, 'type' | 'numel'>): boolean {
  if (a.type === b.type) return a.numel === b.numel;
  return (a.type === UNTYPED || b.type === UNTYPED) && a.numel * a.type.bits === b.numel * b.type.bits;
}

export function isReference(item: PickleItem | undefined): item is PickleReference {
  return (
    typeof item === 'object' &&
    item !== null &&
    !Array.isArray(item) &&
    !(item instanceof Map) &&
    !(item instanceof Set) &&
    !(item instanceof Uint8Array)
  );
}

function isNatural(item: PickleItem | undefined): item is number {
  return typeof item === 'number' && Number.isSafeInteger(item) && item >= 0;
}

function printable(name: string): string {
  return JSON.stringify(name.slice(0, 120)).slice(1, -1);
}
