import { builtInParts } from '../experiment/experiment.js';
import { withPlugins } from '../experiment/plugin.js';
import type { AskedPrecision } from '../precision.js';
import { openIndex } from '../retrieve/open-index.js';
import { type OpenModelOptions, openModel } from '../retrieve/open-model.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { setUpEngine } from '../train/engine.js';
import type { ServeLimits } from './limits.js';
import { ModelService } from './model-service.js';

/** What a service is of: plain data, for another thread. */
export interface ServiceSource {
  /** The index; null: there is only a model. */
  index: string | null;
  /** Where the index's images are, if not where it says. */
  folder?: string | undefined;
  /** What `openModel` opens; of an index by default what made it. */
  model?: string | undefined;
  device?: string | undefined;
  /** Of the network, as `openModel` has it. */
  precision?: AskedPrecision | undefined;
  threads?: number | undefined;
  /** Files of parts that the model was trained with. */
  plugins?: readonly string[] | undefined;
}

export interface ServiceListener {
  onNote: (text: string) => void;
  onFault: (error: unknown) => void;
}

/** @throws UserError where the model or the index cannot be opened, or do not belong together */
export async function openService(
  source: ServiceSource,
  limits: ServeLimits,
  { onNote, onFault }: ServiceListener,
): Promise<ModelService> {
  const { index, folder, device, precision, threads = null, plugins = [] } = source;
  setUpEngine({ train: { threads, device } });
  const parts = plugins.length > 0 ? await withPlugins(builtInParts, plugins) : null;
  const opening = { device, ...(precision && { precision }), ...(parts && { parts }), onNote };
  const model =
    index === null ? await openModel(source.model!, opening) : await modelOfIndex(index, source, opening);
  try {
    return await ModelService.open(model, index === null ? null : { path: index, folder }, limits, onFault);
  } catch (error) {
    model.close();
    throw error;
  }
}

/** What made the rows of an index, as it made them (flips, crops, a prefix). */
async function modelOfIndex(
  path: string,
  { folder, model }: ServiceSource,
  opening: Omit<OpenModelOptions, 'checkpoint'>,
): Promise<TrainedModel> {
  const { index, embedder } = await openIndex(path, { folder, model, ...opening });
  await index.dispose();
  if (embedder instanceof TrainedModel) return embedder;
  throw new TypeError(`${path}: expected a model of its own to be opened`);
}
