import { existsSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import { SerializationError, scope, type Tensor } from '@conquer-dml/torch';
import { goesBy } from '../../part.js';
import { type Backbone, FITTING } from '../backbones/backbone.js';
import { backbones } from '../backbones/backbones.js';
import type { PublishedWeights } from './published-weights.js';
import { matchStoredNames, type StoredNames } from './stored-names.js';
import { openStoredWeights, type StoredWeights } from './stored-weights.js';
import { firstThree } from './weight-faults.js';

/**
 * The published ImageNet weights of a backbone.
 *
 * @param name of a backbone in the list
 * @throws UserError where there are none
 */
export function imageNetWeights(name: string): PublishedWeights {
  const found = backbones.find((backbone) => goesBy(backbone, name));
  if (found?.weights) return found.weights;
  const names = backbones.flatMap((backbone) => (backbone.weights ? [backbone.name] : []));
  const advice = found?.weightsElsewhere ?? `choose one of ${names.join(', ')}; weights 'none' start without`;
  throw new UserError(`torchvision publishes no ImageNet weights for ${name}: ${advice}`);
}

/** Whether torchvision publishes some for a backbone of that name. */
export const hasImageNetWeights = (name: string): boolean =>
  backbones.some((backbone) => goesBy(backbone, name) && backbone.weights !== null);

export interface LoadWeightsOptions {
  /** Told in a line of what was taken off the names, and what of the file was left out. */
  onNote?: (text: string) => void;
}

/**
 * Copies the weights of a file into a backbone: of `torch.save` or safetensors, told apart by its content, one or several
 * with a list of them (`model.safetensors.index.json`), or a folder of these; all of them or, where it throws, none. A prefix that all names have (`module.`, `backbone.`, ...) is taken off, a classifier and
 * what lies outside of the prefix is left out. Of a checkpoint of a run, its backbone.
 *
 * @throws UserError for a file that cannot be read, does not fit, or holds what cannot be weights: NaN, infinity,
 *   a negative variance
 */
export function loadWeights(backbone: Backbone, file: string, { onNote }: LoadWeightsOptions = {}): void {
  if (!existsSync(file)) {
    throw new UserError(
      `the weights: expected 'published', 'imagenet', a file or a folder, but there is no file '${file}'`,
    );
  }
  const notes = scope(() => {
    using stored = reading(() => openStoredWeights(file));
    const isRun = stored.metadata.format?.startsWith('conquer-checkpoint') ?? false;
    const all = [...stored.tensors.keys()];
    const candidates = isRun ? all.filter(isBackbone) : all;
    const names = matchStoredNames(backbone, candidates);
    const { prefix, byOwnName, leftOut } = names;
    const wrong = (['missing', 'unexpected'] as const)
      .filter((kind) => names[kind].length > 0)
      .map((kind) => `${kind} ${names[kind].length} (${firstThree(names[kind])})`);
    if (wrong.length > 0) {
      const without = prefix === '' ? '' : `, '${prefix}' taken off`;
      throw new UserError(
        `${file}: the weights do not fit ${backbone.name}${without}: ${wrong.join('; ')}; ${FITTING}`,
      );
    }
    const wanted = new Set(Array.from(byOwnName.values(), (each) => each.names).flat());
    const tensors = reading(() => stored.read((name) => wanted.has(name)));
    const weights = takenFrom(tensors, names);
    try {
      backbone.loadPretrained(weights);
    } catch (error) {
      throw error instanceof UserError ? new UserError(`${file}: ${error.message}`) : error;
    }
    return isRun ? [] : notesOf(stored, { ...names, leftOut, count: weights.size });
  });
  for (const note of notes) onNote?.(`${file}: ${note}`);
}

/**
 * The tensors of a file as a network takes them: put together where its naming says how, under the network's names; and else
 * as they are, their prefix taken off. What is new belongs to the caller's scope.
 *
 * @param tensors those that `names.byOwnName` has need of
 */
export function takenFrom(
  tensors: ReadonlyMap<string, Tensor>,
  { prefix, naming, byOwnName }: StoredNames,
): Map<string, Tensor> {
  const taken = new Map<string, Tensor>();
  for (const [ownName, { names, make }] of byOwnName) {
    const parts = names.map((name) => tensors.get(name) as Tensor);
    const [first] = names as [string];
    const name = naming === null ? first.slice(prefix.length) : ownName;
    taken.set(name, make?.(parts) ?? (parts[0] as Tensor));
  }
  return taken;
}

/** Of a run's checkpoint (see train/checkpoint.ts): what of the model is neither pooling, head nor masks. */
const isBackbone = (name: string) => /^model\.(?!embedding\.|head_|gem\.|masks\.)/.test(name);

function notesOf(
  { path, passedOver, others }: StoredWeights,
  { prefix, naming, leftOut, count }: StoredNames & { count: number },
): string[] {
  const notes: string[] = [];
  if (passedOver.length > 0) {
    const elsewhere = passedOver.map((key) => `'${key}'`);
    notes.push(
      `took the weights under '${path.join("', '")}'; there are others under ${firstThree(elsewhere)}`,
    );
  }
  if (naming !== null) notes.push(`took ${count} tensors of ${naming} names`);
  else if (prefix !== '') notes.push(`took '${prefix}' off ${count} names`);
  const unused = [...leftOut, ...others.keys()];
  if (unused.length > 0) notes.push(`left out ${firstThree(unused)}: no part of the network`);
  return notes;
}

/** Errors of the file are the user's. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SerializationError)) throw error;
    throw new UserError(`the weights cannot be read: ${error.message}`);
  }
}
