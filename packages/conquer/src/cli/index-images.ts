import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError, whatWouldBeLost } from '@conquer/run';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { TrainedModel } from '../retrieve/trained-model.js';
import { setUpEngine } from './engine.js';
import { requireWritable } from './output-file.js';
import { type Output, progressBar } from './terminal.js';

export interface IndexCommand {
  run: string;
  folder: string;
  /** Default: named after the folder, in the run's folder. */
  file?: string | undefined;
  checkpoint: 'best' | 'last';
  device?: string | undefined;
  /** Null: one a core. */
  threads: number | null;
  onBadImage: 'skip' | 'fail';
  json: boolean;
  /** Takes progress and warnings. */
  progress: Output;
  out: Output;
}

/** `conquer index`: embeds the images of a folder; those that an index of it has already are taken from there. */
export async function runIndex(command: IndexCommand): Promise<void> {
  const { run, checkpoint, device, threads, onBadImage, progress, out } = command;
  const folder = resolve(command.folder);
  const file = command.file ?? join(run, `${basename(folder)}.index.safetensors`);
  if (command.file !== undefined) requireWritable('--out', file);
  setUpEngine(threads, device);
  using model = TrainedModel.open(run, { checkpoint, ...(device !== undefined && { device }) });
  if (command.file === undefined) requireWritable('the index', file);
  using previous = existsSync(file) ? ImageIndex.open(file) : null;
  const next = { folder, run: model.run, sha256: model.sha256, checkpoint };
  const lost = previous && whatWouldBeLost(previous.contents, next, dirname(resolve(file)));
  if (lost !== null)
    throw new UserError(`${file} is ${lost}: name another file for this one with --out, or delete that one`);
  const { index, embedded, removed, leftOut } = await indexFolder(model, folder, {
    previous,
    onBadImage,
    threads: threads ?? undefined,
    onProgress: progressBar(progress, 'embedding'),
    onWarning: (message) => progress.write(`warning: ${message}\n`),
  });
  if (leftOut.files + leftOut.folders > 0) progress.write(`warning: ${leftOut}\n`);
  index.save(file);
  const { count } = index;
  index.dispose();
  if (command.json) {
    const counts = { images: count, embedded, removed, leftOut: leftOut.files };
    out.write(`${JSON.stringify({ index: file, ...counts })}\n`);
    return;
  }
  const gone = removed > 0 ? `, ${removed} removed` : '';
  out.write(
    `${file}: ${count} images, ${embedded} of them embedded now${gone}\n` +
      `search it: npx conquer search ${file} IMAGE\n`,
  );
}
