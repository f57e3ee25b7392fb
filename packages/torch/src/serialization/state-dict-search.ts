import { isReference } from './pickle-globals.js';
import type { PickleItem, TensorReference } from './pickle-values.js';
import { quoted, SerializationError } from './serialization-error.js';

/** Where checkpoints keep the weights beside other things, the likeliest first. */
const STATE_DICT_KEYS = [
  ...['state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'weights', 'params'],
  ...['teacher', 'student', 'ema', 'model_ema', 'state_dict_ema', 'params_ema', 'ema_state_dict'],
  ...['backbone', 'encoder', 'net_state_dict', 'model_state'],
];

/** How many dictionaries may lie around a state dict. */
const MAX_DEPTH = 4;

/** A state dict in what a pickle holds. */
export interface FoundStateDict {
  tensors: Map<string, TensorReference>;
  /** Entries that are no tensors, and what they are. */
  others: Map<string, string>;
  /** The keys that led to it. */
  path: string[];
  /** Other keys at which there is one as well. */
  passedOver: string[];
}

/**
 * Finds the state dict of a checkpoint: the dictionary under one of the usual keys, the only one that holds tensors, or
 * the whole.
 *
 * @throws SerializationError where there is none or no telling which, or where it holds an object that would need its
 *   class's code
 */
export function findStateDict(file: string, root: PickleItem): FoundStateDict {
  if (!(root instanceof Map)) throw noStateDict(file, root);
  const path: string[] = [];
  const passedOver: string[] = [];
  let dict = root;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const within = dict;
    const usual = STATE_DICT_KEYS.filter((key) => leadsToTensors(within.get(key)));
    if (usual.length === 0 && hasTensor(within)) break;
    const candidates = [...new Set([...usual, ...onlyDictionaries(within)])];
    const [key] = candidates;
    if (key === undefined) break;
    if (usual.length === 0 && candidates.length > 1) {
      throw new SerializationError(
        `${file}: expected one state dict, found them under ${firstThree(candidates.map(quoted))}: write the one that is meant into a file of its own`,
      );
    }
    path.push(key);
    passedOver.push(...candidates.slice(1));
    dict = within.get(key) as Map<PickleItem, PickleItem>;
  }
  return { ...sort(file, dict), path, passedOver };
}

/** The entries of a state dict; `_extra_state`, which modules keep beside their tensors, is left out. */
function sort(file: string, dict: Map<PickleItem, PickleItem>): Pick<FoundStateDict, 'tensors' | 'others'> {
  const tensors = new Map<string, TensorReference>();
  const others = new Map<string, string>();
  let first: SerializationError | undefined;
  let nameless: SerializationError | undefined;
  for (const [name, value] of dict) {
    if (typeof name === 'string' && /(^|\.)_extra_state$/.test(name)) continue;
    const isTensor = isReference(value) && value.kind === 'tensor';
    if (typeof name === 'string' && isTensor) {
      tensors.set(name, value);
      continue;
    }
    const entry = typeof name === 'string' ? quoted(name) : `of ${describe(name)}`;
    if (isReference(value) && !isTensor) {
      throw new SerializationError(
        `${file}: refused to load ${describe(value)}, the entry ${entry} of the state dict: ${NO_CODE}`,
      );
    }
    const problem = wrongEntry(file, entry, describe(value));
    first ??= problem;
    if (typeof name === 'string') others.set(name, describe(value));
    else nameless ??= problem;
  }
  const problem = tensors.size === 0 ? first : nameless;
  if (problem !== undefined) throw problem;
  return { tensors, others };
}

export const NO_CODE = 'only tensors, numbers, text and containers are read, and no code is run';

function noStateDict(file: string, root: PickleItem): SerializationError {
  if (isReference(root) && root.kind === 'opaque') {
    return new SerializationError(
      `${file}: expected a state dict, found an object of ${root.name}, which only its own code can read: in Python, write its weights with torch.save(object.state_dict(), path)`,
    );
  }
  return new SerializationError(
    `${file}: expected a state dict, found ${describe(root)}: readPickle() reads it`,
  );
}

/**
 * @param entry its name, quoted, or what its key is
 * @param found what it is instead of a tensor
 */
export function wrongEntry(file: string, entry: string, found: string): SerializationError {
  return new SerializationError(
    `${file}: expected a state dict of tensors by name, but its entry ${entry} is ${found}: readPickle() reads it`,
  );
}

const isTensor = (item: PickleItem) => isReference(item) && item.kind === 'tensor';

/** At least one tensor with a name. Keys of numbers are an optimiser's. */
function hasTensor(dict: Map<PickleItem, PickleItem>): boolean {
  for (const [name, value] of dict) if (typeof name === 'string' && isTensor(value)) return true;
  return false;
}

/** Whether it is a state dict, or leads to one by the usual keys. */
function leadsToTensors(item: PickleItem | undefined): boolean {
  const seen = new Set<PickleItem>();
  const pending = [item];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (!(next instanceof Map) || seen.has(next)) continue;
    if (hasTensor(next)) return true;
    seen.add(next);
    for (const key of STATE_DICT_KEYS) {
      const inner = next.get(key);
      if (inner !== undefined) pending.push(inner);
    }
  }
  return false;
}

/** The keys under which there is nothing but tensors by name. */
function onlyDictionaries(dict: Map<PickleItem, PickleItem>): string[] {
  const found: string[] = [];
  for (const [key, value] of dict) {
    if (typeof key !== 'string' || !(value instanceof Map) || value.size === 0) continue;
    if ([...value].every(([name, item]) => typeof name === 'string' && isTensor(item))) found.push(key);
  }
  return found;
}

/** Names in a message: three, and how many more there are. */
function firstThree(names: readonly string[]): string {
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return names.slice(0, 3).join(', ') + more;
}

export function describe(item: PickleItem): string {
  if (item === null) return 'None';
  if (Array.isArray(item)) return 'a list';
  if (item instanceof Map) return 'a dictionary';
  if (item instanceof Set) return 'a set';
  if (item instanceof Uint8Array) return 'bytes';
  if (typeof item !== 'object') return `a ${typeof item}`;
  if (item.kind === 'opaque' || item.kind === 'global') return item.name;
  return `a ${item.kind}`;
}
