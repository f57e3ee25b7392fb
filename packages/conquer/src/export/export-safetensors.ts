import { dirname, join } from 'node:path';
import { UserError, writeFileAtomic } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import type { EmbeddingNetwork } from '../models/embedding-network.js';
import { FrozenNetwork } from '../models/tunings/frozen-network.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { exportMetadata, knownOf } from './export-metadata.js';
import { makeFolder } from './make-folder.js';
import { withMergedAdapters } from './merged-adapters.js';
import { timmConfig } from './timm-config.js';

/** What was written. */
export interface ExportedWeights {
  /** The paths of the files. */
  files: string[];
  /** Of all tensors. */
  numbers: number;
}

/**
 * Writes a model's weights as safetensors, nothing of the optimiser's: the backbone's under timm's names, where timm has the
 * network (torchvision's, where that has it), those of pooling, head and masks under conquer's, and `full_embedding_mask` (D)
 * where the embedding has one. What adapters learnt is in the weights.
 *
 * @param path a file (`….safetensors`), which has all; or a folder, which is made where it is not there: `model.safetensors` has
 *   the backbone alone, which timm loads strictly, `head.safetensors` the rest where there is any, and for networks of timm's
 *   `config.json` has what `timm.create_model('local-dir:…')` asks for
 * @throws UserError where it cannot be written, for a model of other parts than these, and for a folder of a backbone with
 *   prompts, which timm's networks have not
 */
export async function exportSafetensors(model: TrainedModel, path: string): Promise<ExportedWeights> {
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
  await withMergedAdapters(network, async () =>
    scope(() =>
      noGrad(() => {
        const { backbone, rest } = weightsOf(network);
        if (path.endsWith('.safetensors')) return write(path, new Map([...backbone, ...rest]));
        if (network.backbone.prompts)
          throw new UserError(
            `prompts have no place in a network of timm's: expected a file (${path}.safetensors), which has all tensors, or ONNX, got the folder ${path}`,
          );
        write(join(path, 'model.safetensors'), backbone);
        if (rest.size > 0) write(join(path, 'head.safetensors'), rest);
        const config = timmConfig(network.backbone, network.view);
        if (config === null) return;
        writeFileAtomic(join(path, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
        files.push(join(path, 'config.json'));
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
