import { ELEMENT_TYPES, elementCount } from './element-types.js';
import { COST, type MemoryBudget } from './memory-budget.js';
import type { PickleGlobal, PickleItem, StorageReference, TensorReference } from './pickle-values.js';
import type { SerializationError } from './serialization-error.js';

/** The most that libtorch's iterators take. */
const MAX_DIMENSIONS = 64;

type Call = (args: PickleItem[]) => PickleItem;

/**
 * The classes and functions that a pickle may name: those of PyTorch's state dicts and of Python's plain containers.
 * Each stands for a few lines of TypeScript below; nothing that the file brings is ever run.
 */
export class PickleGlobals {
  readonly #budget: MemoryBudget;
  readonly #fail: (message: string) => SerializationError;
  readonly #known = new Map<string, PickleGlobal | string>();
  /** Every storage that the pickle named, by key. */
  readonly storages = new Map<string, StorageReference>();

  /** @param fail makes the error for a message, with the place in the file. */
  constructor(budget: MemoryBudget, fail: (message: string) => SerializationError) {
    this.#budget = budget;
    this.#fail = fail;
    const map: Call = (args) => this.#map(args);
    const set: Call = (args) => this.#set(args);
    const tensor: Call = (args) => this.#tensor(args);
    const parameter: Call = (args) => this.#parameter(args);
    const calls: [string, Call][] = [
      ['collections.OrderedDict', map],
      ['torch._utils._rebuild_tensor_v2', tensor],
      // Before PyTorch 0.4:
      ['torch._utils._rebuild_tensor', tensor],
      ['torch._utils._rebuild_parameter', parameter],
      // Before PyTorch 0.4:
      ['torch.nn.parameter.Parameter', parameter],
      ['torch.Size', (args) => this.#list(args)],
      // Protocol 2 has no opcodes for sets and bytes.
      ['builtins.set', set],
      ['__builtin__.set', set],
      ['builtins.frozenset', set],
      ['__builtin__.frozenset', set],
      ['builtins.bytes', (args) => this.#noBytes(args)],
      ['__builtin__.bytes', (args) => this.#noBytes(args)],
      ['_codecs.encode', (args) => this.#latin1(args)],
    ];
    for (const [name, call] of calls) this.#known.set(name, { kind: 'global', name, call });
    for (const type of ELEMENT_TYPES) {
      const name = `torch.${type.storage}`;
      this.#known.set(name, { kind: 'global', name, type });
      this.#known.set(`torch.${type.dtype}`, type.dtype);
    }
  }

  /** What `module.name` stands for; a `torch.dtype` is its name. Anything not listed is refused by name. */
  find(name: string): PickleGlobal | string {
    const found = this.#known.get(name);
    if (found === undefined) {
      throw this.#fail(
        `refused to load ${printable(name)}: only tensors, storages, parameters, numbers, strings and containers are read, and no code is run`,
      );
    }
    return found;
  }

  /** `object.__setstate__(state)`, where the object is one of ours. */
  setState(target: PickleItem | undefined, state: PickleItem | undefined): void {
    // The attributes of an OrderedDict: `_metadata`, the versions of a state dict's modules.
    if (target instanceof Map) return;
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

  /** A storage from the tuple ('storage', type, key, location, numel), with a view in files before PyTorch 0.4. */
  storage(id: PickleItem | undefined): StorageReference {
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
    if (known !== undefined && (known.type !== type || known.numel !== numel)) {
      throw this.#fail(`storage ${printable(key)} appears with two types or sizes`);
    }
    this.#budget.charge(COST.map);
    const storage: StorageReference = { kind: 'storage', key, type, numel, start, length };
    this.storages.set(key, storage);
    return storage;
  }

  /** (storage, offset, size, stride[, requires_grad, hooks]) */
  #tensor([storage, offset, size, stride, requiresGrad]: PickleItem[]): TensorReference {
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
    // An expanded tensor (stride 0) stays as small as its storage, but not in the hands of whoever copies it.
    const surplus = Math.max(count - storage.length, 0) * storage.type.bytes;
    this.#budget.charge(COST.tensor + surplus);
    const tensor: TensorReference = { kind: 'tensor', storage, offset, shape, strides, requiresGrad: false };
    if (requiresGrad === true) this.#requireGrad(tensor);
    return tensor;
  }

  /** (data[, requires_grad, hooks]) */
  #parameter([data, requiresGrad]: PickleItem[]): TensorReference {
    if (!isReference(data) || data.kind !== 'tensor') throw this.#fail('a Parameter has no tensor');
    this.#budget.charge(COST.tensor);
    const parameter: TensorReference = { ...data, requiresGrad: false };
    if (requiresGrad !== false) this.#requireGrad(parameter);
    return parameter;
  }

  #requireGrad(tensor: TensorReference): void {
    const { dtype } = tensor.storage.type;
    if (!dtype.includes('float')) throw this.#fail(`a tensor of ${dtype} cannot require a gradient`);
    tensor.requiresGrad = true;
  }

  /** ([[key, value], ...]?) */
  #map(args: PickleItem[]): PickleItem {
    const [pairs] = args;
    if (args.length > 1 || (pairs !== undefined && !Array.isArray(pairs))) {
      throw this.#fail('an OrderedDict can only be made of a list of pairs');
    }
    this.#budget.charge(COST.map + COST.entry * (pairs?.length ?? 0));
    const map: Map<PickleItem, PickleItem> = new Map();
    for (const pair of pairs ?? []) {
      if (!Array.isArray(pair) || pair.length !== 2) throw this.#fail('an OrderedDict needs pairs');
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

  #noBytes(args: PickleItem[]): PickleItem {
    if (args.length > 0) throw this.#fail('bytes can only be empty here');
    this.#budget.charge(COST.map);
    return new Uint8Array();
  }

  /** (text, 'latin1'): bytes. */
  #latin1([text, encoding]: PickleItem[]): PickleItem {
    if (typeof text !== 'string' || encoding !== 'latin1')
      throw this.#fail("expected _codecs.encode(text, 'latin1')");
    this.#budget.charge(COST.map + text.length);
    const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
    if (Buffer.from(bytes).toString('latin1') !== text)
      throw this.#fail('text for bytes holds a character over 255');
    return bytes;
  }

  /** The item, if Python could hash it and JavaScript can compare it. */
  key(item: PickleItem | undefined): PickleItem {
    // A tuple has become an array; it is a key by identity.
    if (item === undefined || (typeof item === 'object' && item !== null && !Array.isArray(item))) {
      throw this.#fail('a key or set element is neither text, nor a number, nor a tuple');
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

export function isReference(
  item: PickleItem | undefined,
): item is TensorReference | StorageReference | PickleGlobal {
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
