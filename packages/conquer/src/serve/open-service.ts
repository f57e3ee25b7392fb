import { existsSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { builtInParts } from '../experiment/experiment.js';
import { withPlugins } from '../experiment/plugin.js';
import { ImageIndex } from '../retrieve/image-index.js';
import { openModel } from '../retrieve/open-model.js';
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
  checkpoint?: 'best' | 'last' | undefined;
  device?: string | undefined;
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
  const { index, folder, device, threads = null, plugins = [] } = source;
  setUpEngine({ train: { threads, device } });
  const { from, checkpoint } =
    index === null ? { from: source.model!, checkpoint: source.checkpoint } : modelOfIndex(index, source);
  const parts = plugins.length > 0 ? await withPlugins(builtInParts, plugins) : null;
  const model = await openModel(from, {
    ...(checkpoint && { checkpoint }),
    device,
    ...(parts && { parts }),
    onNote,
  });
  try {
    return new ModelService(model, index === null ? null : { path: index, folder }, limits, onFault);
  } catch (error) {
    model.close();
    throw error;
  }
}

/** What made the rows of an index, unless it is said where that is now. */
function modelOfIndex(path: string, { folder, model, checkpoint }: ServiceSource) {
  using index = ImageIndex.open(path, { folder });
  const { origin } = index;
  if (origin === null || origin.source === null)
    throw new UserError(
      `${path} is of rows that no model of conquer's made: it can be searched from a program, by rows of the same kind`,
    );
  const from = model ?? origin.source;
  if (model === undefined && isAbsolute(from) && !existsSync(from))
    throw new UserError(
      `${path} was made with ${from}, which is no longer there: name where it is now as its model`,
    );
  const which = isFile(from) ? null : (checkpoint ?? origin.checkpoint);
  return { from, checkpoint: which };
}

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
