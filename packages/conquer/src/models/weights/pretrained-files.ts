import { UserError } from '@conquer-dml/run';

/** What the files are called that hold a model's weights, the best first: whole ones before those in parts. */
const WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'open_clip_model.safetensors',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'open_clip_pytorch_model.bin',
];

/** What the files are called that say which network the weights are of and how its images come, in timm's or transformers' way. */
const CONFIGS = ['config.json', 'preprocessor_config.json'];

/** The files that matter of a folder as timm or `save_pretrained` writes it. */
export interface PretrainedFiles {
  configs: readonly string[];
  /** The weights, or the list of their parts (`isIndex`). */
  weights: string;
}

/** Whether a file lists the files of weights that stand in parts. */
export const isIndex = (file: string): boolean => file.endsWith('.index.json');

/**
 * @param names of the files in the folder itself
 * @param where for the message
 * @throws UserError where there are no weights, or several files could be
 */
export function pretrainedFiles(names: Iterable<string>, where: string): PretrainedFiles {
  const all = new Set(names);
  const configs = CONFIGS.filter((name) => all.has(name));
  const usual = WEIGHTS.find((name) => all.has(name));
  if (usual !== undefined) return { configs, weights: usual };
  const others = [...all].filter((name) => /^[^/]+\.(safetensors|bin|pth|pt)$/.test(name));
  const [only] = others;
  if (others.length === 1 && only !== undefined) return { configs, weights: only };
  const found = others.length > 1 ? `: name one of ${others.slice(0, 5).join(', ')}` : '';
  throw new UserError(`${where}: expected weights in ${WEIGHTS[0]} or ${WEIGHTS[3]}, found neither${found}`);
}
