import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import type { Backbone } from '../backbones/backbone.js';
import { createBackbone, modelNameOf } from '../create-model.js';
import type { InputFormat } from '../input-format.js';
import { BUILT_IN, builtInWeights } from './built-in.js';
import { isHubName } from './hub/hub-name.js';
import { type FetchModelOptions, fetchModel } from './hub/hub-snapshot.js';
import { backboneOfConfig } from './hub-config.js';
import { publicName, publishedAs } from './public-name.js';
import type { Published } from './published.js';
import { weightFilesOf } from './stored-weights.js';
import { loadWeights } from './weights.js';

export interface PretrainedOptions extends Omit<FetchModelOptions, 'settings'> {
  /** Which network weights are of that do not say it: a name in the list. */
  arch?: string | undefined;
}

/** A network as it was published, with its weights. */
export interface Pretrained {
  /** Belongs to the caller. */
  backbone: Backbone;
  /** How images come. */
  input: InputFormat;
  /** By which it is opened again: a name with its commit, or an absolute path. */
  source: string;
  /** In hexadecimal, of what it is: the network and its weights. */
  id: string;
}

/** The published weights of that name, or of that repository. */
const publishedWeights = (text: string): Published | null =>
  publishedAs(publicName(text.replace(/@.*$/, '')));

/** A name that is in no list may be a path that is gone: of a repository it is told by what timm writes in front. */
const OF_THE_HUB = /^hf[-_]hub:/;

/** Whether a text names weights that were published, or a folder of weights that says what they are of. */
export function isPretrained(from: string): boolean {
  if (!existsSync(from)) return publishedWeights(from) !== null || OF_THE_HUB.test(from);
  return statSync(from).isDirectory() && configOf(from) !== null;
}

/**
 * Opens a network that was trained elsewhere.
 *
 * @param from a name in the list (timm's, or of a Hugging Face repository), perhaps with `@revision`; `hf-hub:owner/name` of
 *   another repository that holds such a network; a folder as timm or `save_pretrained` writes it; or a file of weights
 * @throws UserError where there is no such thing, it cannot be fetched, or the weights do not fit
 */
export async function openPretrained(from: string, options: PretrainedOptions = {}): Promise<Pretrained> {
  const { onNote } = options;
  const found = existsSync(from) ? ofPath(from, options) : await ofName(from, options);
  const backbone = found.build();
  try {
    loadWeights(backbone, found.weights, { ...(onNote && { onNote }) });
    const { note } = publishedWeights(backbone.name) ?? {};
    if (note !== undefined) onNote?.(`${backbone.name}: ${note}`);
    const input = { ...backbone.input, ...found.input };
    return { backbone, input, source: found.source, id: await idOf(backbone.name, found.weights) };
  } catch (error) {
    backbone.dispose();
    throw error;
  }
}

interface Found {
  /** A file or a folder. */
  weights: string;
  source: string;
  build: () => Backbone;
  /** What the folder says otherwise than the list of networks does. */
  input?: Partial<InputFormat>;
}

const named = (name: string) => () => createBackbone(modelNameOf(name), { skipInit: true });

function ofPath(path: string, { arch }: PretrainedOptions): Found {
  const weights = resolve(path);
  if (arch !== undefined) return { weights, source: weights, build: named(arch) };
  const config = statSync(path).isDirectory() ? configOf(path) : null;
  if (config === null)
    throw new UserError(
      `${path} does not say of which network its weights are: name it (arch), e.g. ${BUILT_IN}`,
    );
  const preprocessing = jsonIn(path, 'preprocessor_config.json');
  const build = () => {
    try {
      return backboneOfConfig(config, preprocessing, { skipInit: true });
    } catch (error) {
      throw error instanceof UserError ? new UserError(`${path}: ${error.message}`) : error;
    }
  };
  return { weights, source: weights, build, input: inputOfTimm(config) };
}

/** What config.json says, where it is timm's or transformers'; null: there is none, or it is of another program. */
function configOf(folder: string): object | null {
  const config = jsonIn(folder, 'config.json');
  const isTheirs =
    typeof config === 'object' && config !== null && ('architecture' in config || 'model_type' in config);
  return isTheirs ? config : null;
}

function jsonIn(folder: string, name: string): unknown {
  const file = join(folder, name);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new UserError(`${file}: expected JSON: ${(error as Error).message}`);
  }
}

const triple = z.tuple([z.number(), z.number(), z.number()]);
const timmSchema = z.object({
  pretrained_cfg: z.object({
    input_size: triple.optional(),
    interpolation: z.enum(['bicubic', 'bilinear']).optional(),
    crop_pct: z.number().positive().max(1).optional(),
    mean: triple.optional(),
    std: triple.optional(),
  }),
});

/** How images come by timm's config.json: of weights that somebody trained on it may be otherwise than of the published ones. */
function inputOfTimm(config: object): Partial<InputFormat> {
  const {
    input_size: size,
    interpolation,
    crop_pct: cropShare,
    mean,
    std,
  } = timmSchema.safeParse(config).data?.pretrained_cfg ?? {};
  return {
    ...(size && { size: size[1] }),
    ...(interpolation && { interpolation }),
    ...(cropShare && { cropShare }),
    ...(mean && { mean }),
    ...(std && { std }),
  };
}

async function ofName(from: string, options: PretrainedOptions): Promise<Found> {
  const published = publishedWeights(from);
  if (published !== null) return { ...(await fetchPublished(from, options)), build: named(published.name) };
  if (!isHubName(from)) modelNameOf(from); // says which there are
  const { folder, commit, repository } = await fetchModel(from, options);
  return { ...ofPath(folder, options), source: `${OF_THE_HUB.exec(from)?.[0] ?? ''}${repository}@${commit}` };
}

/** Where weights are on this machine, and by which name that is found again. */
export type PublishedFound = Pick<Found, 'weights' | 'source'>;

/**
 * Makes sure that published weights are on this machine: those that come with the program are, others are fetched once.
 *
 * @param name in the list, perhaps with `@revision`
 * @throws UserError where they cannot be fetched
 */
export async function fetchPublished(name: string, options: PretrainedOptions = {}): Promise<PublishedFound> {
  const published = publishedWeights(name);
  if (published === null) throw new UserError(`${name}: there are no published weights of that name`);
  const [at = ''] = /@.*$/.exec(name) ?? [];
  if (published.name === BUILT_IN && at === '' && options.revision === undefined) {
    options.onNote?.(`${BUILT_IN} is built in: trained on ImageNet, licence ${published.license}`);
    return { weights: builtInWeights(), source: BUILT_IN };
  }
  const { folder, commit } = await fetchModel(`${published.repository}${at}`, options);
  return { weights: folder, source: `${published.name}@${commit}` };
}

async function idOf(name: string, weights: string): Promise<string> {
  const id = createHash('sha256').update(name);
  for (const file of weightFilesOf(weights)) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    id.update(hash.digest());
  }
  return id.digest('hex');
}
