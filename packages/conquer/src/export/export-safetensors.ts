import { dirname, join } from 'node:path';
import { UserError, writeFileAtomic } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Backbone } from '../models/backbones/backbone.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import type { EmbeddingNetwork } from '../models/embedding-network.js';
import { FrozenNetwork } from '../models/tunings/frozen-network.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { exportMetadata, knownOf } from './export-metadata.js';
import { makeFolder, requireExportFolder, requireNoneOfConquer } from './make-folder.js';
import { withMergedAdapters } from './merged-adapters.js';
import { timmConfig } from './timm-config.js';
import { preprocessorConfig } from './transformers-layout.js';
import { transformersWeights } from './transformers-weights.js';

export interface ExportSafetensorsOptions {
  /** Whose names the backbone's tensors have; default 'timm'. */
  names?: 'timm' | 'transformers';
}

const optionNames: OptionNames<ExportSafetensorsOptions> = { names: true };

/** What was written. */
export interface ExportedWeights {
  /** The paths of the files. */
  files: string[];
  /** Of all tensors. */
  numbers: number;
}

/**
 * Writes a model's weights as safetensors, nothing of the optimiser's: the backbone's under timm's names, where timm has the
 * network (torchvision's, where that has it), or under transformers'; those of pooling, head and masks under conquer's, and
 * `full_embedding_mask` (D) where the embedding has one. What adapters learnt is in the weights.
 *
 * @param path a file (`….safetensors`), which has all; or a folder, which is made where it is not there: `model.safetensors` has
 *   the backbone alone, which timm or transformers loads strictly, `head.safetensors` the rest where there is any, and
 *   `config.json` what builds the network: `timm.create_model('local-dir:…')`, for networks of timm's, or
 *   `AutoModel.from_pretrained`
 * @throws UserError where it cannot be written, for a model of other parts than these, for a folder of a backbone with prompts,
 *   which others' networks have not, and for a network that transformers has not
 */
export async function exportSafetensors(
  model: TrainedModel,
  path: string,
  options: ExportSafetensorsOptions = {},
): Promise<ExportedWeights> {
  refuseUnknownOptions('exportSafetensors', options, optionNames);
  const { names = 'timm' } = options;
  const network = plainNetwork(model.model);
  const metadata = { format: 'pt', ...exportMetadata(model, knownOf(model)) };
  const files: string[] = [];
  let numbers = 0;
  const write = (file: string, tensors: ReadonlyMap<string, Tensor>) => {
    makeFolder(dirname(file));
    writeSafetensors(file, tensors, metadata);
    files.push(file);
    for (const tensor of tensors.values()) numbers += tensor.numel();
  };
  const writeJson = (file: string, value: object) => {
    writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`);
    files.push(file);
  };
  const isFile = path.endsWith('.safetensors');
  if (network.backbone.prompts && (!isFile || names === 'transformers'))
    throw new UserError(
      `prompts have no place in a network of ${names}: expected a file in timm's names (${isFile ? path : `${path}.safetensors`}), which has all tensors, or ONNX`,
    );
  if (isFile) requireNoneOfConquer(path);
  else requireExportFolder(path);
  await withMergedAdapters(network, async () =>
    scope(() =>
      noGrad(() => {
        const { backbone, rest } = weightsOf(network);
        const theirs = names === 'transformers' ? transformersWeights(network.backbone as Backbone) : null;
        const tensors = theirs?.tensors ?? backbone;
        if (isFile) return write(path, new Map([...tensors, ...rest]));
        write(join(path, 'model.safetensors'), tensors);
        if (rest.size > 0) write(join(path, 'head.safetensors'), rest);
        const config = theirs?.config ?? timmConfig(network.backbone, network.view);
        if (config !== null) writeJson(join(path, 'config.json'), config);
        if (theirs) writeJson(join(path, 'preprocessor_config.json'), preprocessorConfig(network.view));
      }),
    ),
  );
  return { files, numbers };
}

/** @throws UserError for a network that is used in another way (views, a prefix) */
function plainNetwork(network: EmbeddingNetwork): EmbeddingModel | FrozenNetwork {
  if (network instanceof EmbeddingModel || network instanceof FrozenNetwork) return network;
  throw new UserError('expected a model as it was opened, got one in use of its own way (atTestTime)');
}

/** The model's own tensors and one that belongs to the caller's scope. */
function weightsOf(network: EmbeddingModel | FrozenNetwork) {
  const backbone = (network.backbone as Backbone).stateDict();
  const rest = new Map([...network.stateDict()].filter(([name]) => !backbone.has(name)));
  const mask = network instanceof EmbeddingModel ? network.fullEmbeddingMask() : null;
  if (mask !== null) rest.set('full_embedding_mask', mask);
  return { backbone, rest };
}
