import { UserError } from '../error.js';
import { ImageIndex } from '../retrieve/image-index.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { setUpEngine } from './engine.js';
import type { Output } from './terminal.js';

export interface SearchCommand {
  /** The index's file. */
  file: string;
  images: string[];
  /** Matches of each image. */
  top: string;
  /** The run's folder, where it is no longer where the index was made. */
  run?: string;
  device?: string;
  json: boolean;
  out: Output;
}

/** `conquer search`: the indexed images that are nearest to each of some images. */
export async function runSearch(command: SearchCommand): Promise<void> {
  const { file, images, top, device, out } = command;
  const k = Number(top);
  if (!Number.isSafeInteger(k) || k < 1)
    throw new UserError(`--top: expected a whole number of at least 1, got '${top}'`);
  setUpEngine(null, device);
  using index = ImageIndex.open(file);
  const { run, checkpoint, sha256 } = index.contents;
  using model = TrainedModel.open(command.run ?? run, {
    checkpoint,
    ...(device !== undefined && { device }),
  });
  if (model.sha256 !== sha256)
    throw new UserError(
      `${file} was made with other weights than ${model.run} has now (it was trained on): run conquer index again`,
    );
  using embedded = await model.embed(images);
  using queries = embedded.to('cpu');
  const matches = index.search(queries, k);
  for (const [i, query] of images.entries()) {
    const found = matches[i] ?? [];
    if (command.json) {
      out.write(`${JSON.stringify({ query, matches: found })}\n`);
      continue;
    }
    out.write(`${query}\n`);
    for (const [rank, { path, distance }] of found.entries())
      out.write(`${String(rank + 1).padStart(String(k).length + 2)}  ${distance.toFixed(3)}  ${path}\n`);
  }
}
