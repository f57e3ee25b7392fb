import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError, whatWouldBeLost } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import { resolveExperiment } from '../../experiment/resolve.js';
import { isPretrained } from '../../models/weights/pretrained.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { indexFolder } from '../../retrieve/index-folder.js';
import { setUpEngine } from '../../train/engine.js';
import { namingFlags } from '../fill.js';
import { isFile, modelNamed, modelOf } from '../model-of.js';
import { requireWritable } from '../output-file.js';
import { type Output, progressBar } from '../terminal.js';

interface IndexFlags {
  model?: string;
  arch?: string;
  revision?: string;
  out?: string;
  checkpoint: 'best' | 'last';
  device?: string;
  plugin?: string;
  threads?: string;
  datasetDir?: string;
  cache?: string;
  onBadImage: 'skip' | 'fail';
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('index')
    .description('embed images, to search them')
    .usage('[options] [run] <folder>')
    .argument('<paths...>', 'images, in a folder or its subfolders; before it the run, instead of --model')
    .option(
      '--model <name>',
      'a run, a checkpoint file, or a published model (conquer models) [the built-in one]',
    )
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .option('--revision <name>', 'of a published model: a branch, a tag or a commit [main]')
    .option(
      '--out <file>',
      'the index (default: FOLDER.index.safetensors in the run folder, beside the checkpoint, or here)',
    )
    .addOption(new Option('--checkpoint <which>', 'which weights').choices(['best', 'last']).default('best'))
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .option('--threads <n>', 'of libtorch and of reading images [one a core]')
    // As train and eval have them, for who gives all three the same; an index has no use for them, and says so.
    .addOption(new Option('--dataset-dir <path>').hideHelp())
    .addOption(new Option('--cache <name>').choices(['yes', 'no']).hideHelp())
    .addOption(
      new Option('--on-bad-image <what>', 'images that cannot be read: leave them out, or end')
        .choices(['skip', 'fail'])
        .default('skip'),
    )
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      '\nImages that have not changed since the last time are not embedded again.\nExample: conquer index runs/demo photos\n         conquer index photos --model facebook/dinov2-small',
    )
    .action(async (paths: string[], options: IndexFlags) => {
      const { folder, model: named } = modelAndFolder(paths, options.model);
      const { out: file, model: _, threads, json = false, datasetDir, cache, ...others } = options;
      const note = (text: string) => void process.stderr.write(`note: ${text}\n`);
      if (datasetDir !== undefined)
        note(`--dataset-dir has no effect: an index is of the images in ${folder}`);
      if (cache !== undefined) note('--cache has no effect: an index reads each image once');
      await runIndex({
        run: modelNamed(named, process.stderr),
        folder,
        file,
        ...others,
        threads: threads === undefined ? null : threadsOf(threads),
        json,
        progress: process.stderr,
        out: process.stdout,
      });
    });
}

/** A run before the folder is as good as `--model`. @throws UserError where both are given, or more */
function modelAndFolder(paths: readonly string[], model: string | undefined) {
  const [first = '', second] = paths;
  if (second === undefined) return { folder: first, model };
  if (paths.length > 2 || model !== undefined)
    throw new UserError(
      `index: expected one folder${model === undefined ? ', or a run and a folder' : ' beside --model'}, got ${paths.join(' ')}`,
    );
  return { folder: second, model: first };
}

/** @throws UserError for what is no number of threads */
function threadsOf(text: string): number {
  const { train } = namingFlags(() => resolveExperiment({ train: { threads: Number(text) } }));
  return train.threads!;
}

export interface IndexCommand {
  /** A run's folder, a checkpoint by itself, or a published model. */
  run: string;
  /** Which network the weights of a file are of. */
  arch?: string | undefined;
  /** Of a published model. */
  revision?: string | undefined;
  folder: string;
  /** Default: named after the folder, in the run's folder, beside the checkpoint, or, of a published model, here. */
  file?: string | undefined;
  checkpoint: 'best' | 'last';
  device?: string | undefined;
  plugin?: string | undefined;
  /** Null: one a core. */
  threads: number | null;
  onBadImage: 'skip' | 'fail';
  json: boolean;
  /** Takes progress and warnings. */
  progress: Output;
  out: Output;
}

/** Where an index by a model goes unless it is said. */
function folderOf(model: string): string {
  if (isFile(model)) return dirname(model);
  return isPretrained(model) ? '.' : model;
}

/** Embeds the images of a folder; those that an index of it has already are taken from there. */
export async function runIndex(command: IndexCommand): Promise<void> {
  const { run, checkpoint, device, plugin, arch, revision, threads, onBadImage, progress, out } = command;
  const folder = resolve(command.folder);
  const file = command.file ?? join(folderOf(run), `${basename(folder)}.index.safetensors`);
  if (command.file !== undefined) requireWritable('--out', file);
  namingFlags(() => setUpEngine({ train: { threads, device: device ?? 'cpu' } }));
  using model = await modelOf(run, { checkpoint, device, plugin, arch, revision, progress });
  if (command.file === undefined) requireWritable('the index', file);
  using previous = existsSync(file) ? ImageIndex.open(file) : null;
  const next = { folder, embedder: model.id, source: model.source, checkpoint: model.checkpoint };
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
