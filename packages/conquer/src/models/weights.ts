import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer/run';
import { SerializationError, StateDictFile, scope, type Tensor } from '@conquer/torch';
import { cacheFolder } from '../cache-folder.js';
import { type Backbone, FITTING } from './backbone.js';
import { download } from './download.js';
import { matchStoredNames } from './stored-names.js';
import { firstThree } from './weight-faults.js';

/** A file of published weights; its name ends in the first digits of its SHA-256 sum. */
export interface PublishedWeights {
  /** Name of the file. */
  file: string;
  /** Its size in MiB, to three digits. */
  mebibytes: number;
}

/** torchvision's weights trained on ImageNet, of their first version (IMAGENET1K_V1): names and sizes as it states. */
const imageNet: ReadonlyMap<string, PublishedWeights> = new Map([
  ['resnet18', { file: 'resnet18-f37072fd.pth', mebibytes: 44.661 }],
  ['resnet34', { file: 'resnet34-b627a593.pth', mebibytes: 83.275 }],
  ['resnet50', { file: 'resnet50-0676ba61.pth', mebibytes: 97.781 }],
  ['resnet101', { file: 'resnet101-63fe2227.pth', mebibytes: 170.511 }],
  ['resnet152', { file: 'resnet152-394f9c45.pth', mebibytes: 230.434 }],
  ['alexnet', { file: 'alexnet-owt-7be5be79.pth', mebibytes: 233.087 }],
  ['vgg11', { file: 'vgg11-8a719046.pth', mebibytes: 506.84 }],
  ['vgg11bn', { file: 'vgg11_bn-6002323d.pth', mebibytes: 506.881 }],
]);

const TORCHVISION_URL = 'https://download.pytorch.org/models/';

/** Where there is no file of torchvision's: what to do instead. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  [
    'bn-inception',
    'fetch http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth (converted from Caffe) and give --weights FILE',
  ],
]);

/**
 * The published ImageNet weights of a backbone.
 *
 * @param arch a name that openModel knows
 * @throws UserError where there are none
 */
export function imageNetWeights(arch: string): PublishedWeights {
  const weights = imageNet.get(arch);
  if (weights !== undefined) return weights;
  const advice =
    elsewhere.get(arch) ??
    `leave --weights out, or choose one of ${[...imageNet.keys()].join(', ')}; weights 'none' start without`;
  throw new UserError(`torchvision publishes no ImageNet weights for ${arch}: ${advice}`);
}

export interface FetchWeightsOptions {
  /** The address before the file's name; `$CONQUER_WEIGHTS_URL` (a mirror), or torchvision's when left out. */
  baseUrl?: string;
  /** Where the file is kept; `weights` in the cache folder when left out. */
  folder?: string;
  /** Counts bytes; not called for a file that is there already. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/**
 * Fetches published weights once; a file that is there is checked by its size and SHA-256 sum, and a download
 * that broke off goes on where it stopped.
 *
 * @returns the path of their file
 * @throws UserError that says which file to fetch from where and where to put it
 * @throws RangeError if the file's name does not end in digits of its hash
 */
export async function fetchWeights(
  { file, mebibytes }: PublishedWeights,
  options: FetchWeightsOptions = {},
): Promise<string> {
  const { baseUrl = process.env.CONQUER_WEIGHTS_URL || TORCHVISION_URL, onProgress } = options;
  const path = join(options.folder ?? join(cacheFolder(), 'weights'), file);
  const url = `${baseUrl.replace(/\/+$/, '')}/${file}`;
  const sha256Prefix = /-([0-9a-f]{8,})\.\w+$/.exec(file)?.[1];
  if (sha256Prefix === undefined) {
    throw new RangeError(`the name of published weights ends in their hash: got '${file}'`);
  }
  await download({ url, file: path, mebibytes, sha256Prefix, onProgress });
  return path;
}

export interface LoadWeightsOptions {
  /** Told in a line of what was taken off the names, and what of the file was left out. */
  onNote?: (text: string) => void;
}

/**
 * Copies the weights of a file into a backbone: of `torch.save` or safetensors, told apart by its content; all of them
 * or, where it throws, none. A prefix that all names have (`module.`, `backbone.`, ...) is taken off, a classifier and
 * what lies outside of the prefix is left out. Of a checkpoint of a run, its backbone.
 *
 * @throws UserError for a file that cannot be read, does not fit, or holds what cannot be weights: NaN, infinity,
 *   a negative variance
 */
export function loadWeights(backbone: Backbone, file: string, { onNote }: LoadWeightsOptions = {}): void {
  if (!existsSync(file)) {
    throw new UserError(`the weights: expected 'imagenet' or a file, but there is no file '${file}'`);
  }
  const notes = scope(() => {
    using stored = reading(() => new StateDictFile(file));
    const isRun = stored.metadata.format?.startsWith('conquer-checkpoint') ?? false;
    const all = [...stored.tensors.keys()];
    const candidates = isRun ? all.filter(isBackbone) : all;
    const own = new Set(backbone.stateDict().keys());
    const names = matchStoredNames(own, candidates, backbone.classifierPrefixes);
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
      Array.from(byOwnName, ([name, storedName]) => [name, tensors.get(storedName) as Tensor]),
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
  { path, passedOver, others }: StateDictFile,
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
