import { existsSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import { SerializationError, scope, type Tensor } from '@conquer-dml/torch';
import { type Backbone, FITTING } from './backbone.js';
import { backbones } from './backbones.js';
import type { PublishedWeights } from './published-weights.js';
import { matchStoredNames } from './stored-names.js';
import { openStoredWeights, type StoredWeights } from './stored-weights.js';
import { firstThree } from './weight-faults.js';

/**
 * The published ImageNet weights of a backbone.
 *
 * @param name of a backbone in the list
 * @throws UserError where there are none
 */
export function imageNetWeights(name: string): PublishedWeights {
  const found = backbones.find((backbone) => backbone.name === name);
  if (found?.weights) return found.weights;
  const names = backbones.flatMap((backbone) => (backbone.weights ? [backbone.name] : []));
  const advice = found?.weightsElsewhere ?? `choose one of ${names.join(', ')}; weights 'none' start without`;
  throw new UserError(`torchvision publishes no ImageNet weights for ${name}: ${advice}`);
}

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
      `the weights: expected 'imagenet', a file or a folder, but there is no file '${file}'`,
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
    const wanted = new Set(byOwnName.values());
    const tensors = reading(() => stored.read((name) => wanted.has(name)));
    const weights = new Map(
      Array.from(byOwnName.values(), (name) => [name.slice(prefix.length), tensors.get(name) as Tensor]),
    );
    try {
      backbone.loadPretrained(weights);
    } catch (error) {
      throw error instanceof UserError ? new UserError(`${file}: ${error.message}`) : error;
    }
    return isRun ? [] : notesOf(stored, { prefix, leftOut, count: weights.size });
  });
  for (const note of notes) onNote?.(`${file}: ${note}`);
}

/** Of a run's checkpoint (see train/checkpoint.ts): what of the model is neither its last layer nor its masks. */
const isBackbone = (name: string) => /^model\.(?!embedding\.|masks\.)/.test(name);

function notesOf(
  { path, passedOver, others }: StoredWeights,
  { prefix, leftOut, count }: { prefix: string; leftOut: string[]; count: number },
): string[] {
  const notes: string[] = [];
  if (passedOver.length > 0) {
    const elsewhere = passedOver.map((key) => `'${key}'`);
    notes.push(
      `took the weights under '${path.join("', '")}'; there are others under ${firstThree(elsewhere)}`,
    );
  }
  if (prefix !== '') notes.push(`took '${prefix}' off ${count} names`);
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
