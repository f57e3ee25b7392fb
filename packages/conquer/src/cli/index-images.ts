import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { setUpEngine } from './engine.js';
import { type Output, progressBar } from './terminal.js';

export interface IndexCommand {
  run: string;
  folder: string;
  /** Default: named after the folder, in the run's folder. */
  file?: string;
  checkpoint: 'best' | 'last';
  device?: string;
  json: boolean;
  /** Takes progress and warnings. */
  progress: Output;
  out: Output;
}

/** `conquer index`: embeds the images of a folder; those that an index of it has already are taken from there. */
export async function runIndex(command: IndexCommand): Promise<void> {
  const { run, folder, checkpoint, device, progress, out } = command;
  const file = command.file ?? join(run, `${basename(resolve(folder))}.index.safetensors`);
  setUpEngine(null, device);
  using model = TrainedModel.open(run, { checkpoint, ...(device !== undefined && { device }) });
  using previous = existsSync(file) ? ImageIndex.open(file) : null;
  const { index, embedded, removed } = await indexFolder(model, folder, {
    previous,
    checkpoint,
    onProgress: progressBar(progress, 'embedding'),
    onWarning: (message) => progress.write(`warning: ${message}\n`),
  });
  index.save(file);
  const { count } = index;
  index.dispose();
  if (command.json) {
    out.write(`${JSON.stringify({ index: file, images: count, embedded, removed })}\n`);
    return;
  }
  const gone = removed > 0 ? `, ${removed} removed` : '';
  out.write(
    `${file}: ${count} images, ${embedded} of them embedded now${gone}\n` +
      `search it: npx conquer search ${file} IMAGE\n`,
  );
}
