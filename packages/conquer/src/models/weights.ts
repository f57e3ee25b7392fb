import { extname, join } from 'node:path';
import { readPth, readSafetensors, type Tensor } from '@conquer/torch';
import { cacheFolder } from '../cache-folder.js';
import { UserError } from '../error.js';
import type { Backbone } from './backbone.js';
import { download } from './download.js';

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
    elsewhere.get(arch) ?? `leave --weights out, or choose one of ${[...imageNet.keys()].join(', ')}`;
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

/**
 * Copies the weights of a .pth or .safetensors file into a backbone, all but the classifier's; of a checkpoint of
 * a run, its backbone.
 *
 * @throws UserError for a file that cannot be read or does not fit
 */
export function loadWeights(backbone: Backbone, file: string): void {
  const weights = readWeights(file);
  try {
    backbone.loadPretrained(weights);
  } finally {
    for (const tensor of weights.values()) tensor.dispose();
  }
}

/** The backbone of a run's checkpoint (see train/checkpoint.ts), or all tensors of another file. */
function readSafetensorsWeights(file: string): Map<string, Tensor> {
  const { tensors, metadata } = readSafetensors(file);
  if (!metadata.format?.startsWith('conquer-checkpoint')) return tensors;
  const backbone = new Map<string, Tensor>();
  for (const [name, value] of tensors) {
    if (/^model\.(?!embedding\.|masks\.)/.test(name)) backbone.set(name.slice('model.'.length), value);
    else value.dispose();
  }
  return backbone;
}

function readWeights(file: string): ReadonlyMap<string, Tensor> {
  const read = {
    '.pth': readPth,
    '.pt': readPth,
    '.safetensors': readSafetensorsWeights,
  };
  const reader = read[extname(file).toLowerCase() as keyof typeof read];
  if (!reader) {
    throw new UserError(`--weights: expected imagenet, or a .pth or .safetensors file, got '${file}'`);
  }
  try {
    return reader(file);
  } catch (error) {
    throw new UserError(`--weights: ${file} cannot be read: ${(error as Error).message}`);
  }
}
