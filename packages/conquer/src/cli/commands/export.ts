import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileOfImage, IndexFolder, RunFolder, UserError } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import { findImages } from '../../datasets/image-tree.js';
import { type ExportedIndex, exportIndex, requireSmall } from '../../export/export-index.js';
import { exportOnnx } from '../../export/export-onnx.js';
import { exportSafetensors } from '../../export/export-safetensors.js';
import { requireExportFolder } from '../../export/make-folder.js';
import type { ExportedGraph } from '../../export/model-card.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { folderOf } from '../../retrieve/stores/stores.js';
import type { TrainedModel } from '../../retrieve/trained-model.js';
import { modelNamed, modelOf } from '../model-of.js';
import { modelOfIndex } from '../model-of-index.js';
import { requireWritable, requireWritableFolder } from '../output-file.js';

interface ExportFlags {
  onnx?: string;
  safetensors?: string;
  names?: 'timm' | 'transformers';
  photos?: string;
  half?: boolean;
  int8?: boolean;
  run?: string;
  arch?: string;
  revision?: string;
  checkpoint: 'best' | 'last';
  plugin?: string;
  json?: boolean;
}

/** Photos that a graph is compared with the model on, of all that there are. */
const PHOTOS = 16;
/** Test images that a search is measured on. */
const MEASURED = 500;

export function add(program: Command): undefined {
  program
    .command('export')
    .description('write a model for other programs: as ONNX, or its weights as safetensors')
    .argument('<model|index>', 'a run, a checkpoint file, a published model (conquer models), or an index')
    .option('--onnx <folder>', 'its graph, for onnxruntime and transformers.js; the folder is made')
    .option('--safetensors <file>', 'its weights; a folder: with the config.json that builds the network')
    .addOption(
      new Option('--names <whose>', 'whose names these weights have [timm]').choices([
        'timm',
        'transformers',
      ]),
    )
    .option('--photos <folder>', "photos to compare the graph with the model on [the run's or index's]")
    .option('--half', 'the graphs in half precision too; what a search loses is measured')
    .option('--int8', 'in 8 bits too, calibrated on the photos; likewise measured')
    .addOption(
      new Option('--checkpoint <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--run <folder>', "an index's run, or its file of weights, if it is no longer where it was")
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .option('--revision <name>', 'of a published model: a branch, a tag or a commit [main]')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      '\nimage.onnx takes decoded pixels; onnx/model.onnx is for transformers.js.\nOf an index, index.safetensors has its rows in 8 bits: @conquer-dml/browser.\nExample: conquer export runs/mine --onnx exported --safetensors exported/timm',
    )
    .action(async (named: string, flags: ExportFlags) => await runExport(named, flags));
}

async function runExport(target: string, flags: ExportFlags): Promise<void> {
  const named = folderOf(target);
  const { onnx, safetensors, names, photos, half, int8, checkpoint, run, arch, revision, plugin, json } =
    flags;
  const progress = process.stderr;
  if (onnx === undefined && safetensors === undefined)
    throw new UserError('expected --onnx FOLDER or --safetensors FILE, got neither');
  const ofGraphs = Object.entries({ photos, half, int8 }).find(([, value]) => value !== undefined);
  if (onnx === undefined && ofGraphs)
    throw new UserError(`--${ofGraphs[0]}: it is for graphs (--onnx FOLDER)`);
  if (names !== undefined && safetensors === undefined)
    throw new UserError('--names: it is for weights (--safetensors FILE)');
  // Before anything is opened, which may take long.
  for (const folder of [onnx, safetensors?.endsWith('.safetensors') ? undefined : safetensors])
    if (folder !== undefined) requireExportFolder(folder);
  if (onnx !== undefined) requireWritableFolder('--onnx', onnx);
  if (safetensors?.endsWith('.safetensors')) requireWritable('--safetensors', safetensors);
  else if (safetensors !== undefined) requireWritableFolder('--safetensors', safetensors);
  if (onnx !== undefined && safetensors !== undefined && resolve(onnx) === resolve(safetensors))
    throw new UserError(
      '--onnx and --safetensors: expected two folders, as both write a config.json, got one',
    );
  const given = photos === undefined ? null : await photosIn(photos);
  using index = new IndexFolder(named).exists() ? ImageIndex.open(named) : null;
  if (index && (checkpoint !== 'best' || revision !== undefined))
    throw new UserError(
      `--${revision === undefined ? 'checkpoint' : 'revision'}: an index says itself of which weights it is`,
    );
  if (index === null && run !== undefined) throw new UserError(`--run: it is for an index, ${named} is none`);
  if (index && onnx !== undefined) requireSmall(index, named);
  using model = index
    ? await modelOfIndex(index, { file: named, run, arch, plugin, progress })
    : await modelOf(modelNamed(named, progress), { checkpoint, arch, revision, plugin, progress });
  const say = (text: string) => void (json || process.stdout.write(text));
  const weights =
    safetensors === undefined ? null : await exportSafetensors(model, safetensors, names && { names });
  if (weights) say(`${weights.files.join(', ')}: ${(weights.numbers / 1e6).toFixed(1)} million numbers\n`);
  const graphs = onnx === undefined ? null : await exportGraphs(model, onnx, { ...flags, index, given, say });
  const rows = index && onnx !== undefined ? exportIndex(index, join(onnx, 'index.safetensors')) : null;
  if (rows) say(indexLine(rows));
  if (json)
    process.stdout.write(
      `${JSON.stringify({ ...graphs, ...(rows && { index: rows }), ...(weights && { weights }) })}\n`,
    );
}

interface GraphsOf {
  /** What is exported, where it is an index. */
  index: ImageIndex | null;
  /** Photos to compare on. */
  given: string[] | null;
  say: (text: string) => void;
}

async function exportGraphs(
  model: TrainedModel,
  folder: string,
  { half, int8, index, given, say }: ExportFlags & GraphsOf,
) {
  const progress = process.stderr;
  const photos = given ?? (index ? photosOfIndex(index) : testedPhotos(model));
  if (photos.length === 0)
    progress.write('note: there are no photos to compare on (--photos): a few drawn pictures are taken\n');
  const { files, graphs } = await exportOnnx(model, folder, {
    photos,
    ...(index?.calibration && { calibration: index.calibration }),
    ...(half && { half: true }),
    ...(int8 && { int8: true }),
    ...((half || int8) && labelledOf(model)),
    onGraph: (graph) => say(lineOf(graph)),
  });
  if (graphs.every(({ difference }) => difference === null))
    progress.write(
      'note: not compared with the model, as there is no onnxruntime-node: npm install onnxruntime-node\n',
    );
  say(`${folder}: ${files.length} files, ${model.dim} numbers a picture\n`);
  return { folder, files, graphs };
}

/** Whole classes of a run's test images, in so far as they are still there. */
function labelledOf({ source }: TrainedModel) {
  if (!RunFolder.exists(source) || !existsSync(RunFolder.open(source).testImagesFile)) return {};
  const { paths, labels } = RunFolder.open(source).testImages().queries;
  if (!paths.every((path) => existsSync(fileOfImage(path)))) return {};
  const places = [...paths.keys()].sort((a, b) => labels[a]! - labels[b]!).slice(0, MEASURED);
  return { labelled: { paths: places.map((at) => paths[at]!), labels: places.map((at) => labels[at]!) } };
}

/** Some of the images of a folder. */
async function photosIn(folder: string): Promise<string[]> {
  const { images } = await findImages(folder);
  if (images.length === 0) throw new UserError(`--photos ${folder}: expected images in it or its subfolders`);
  return some(images).map(({ path }) => join(folder, path));
}

/** Some of the images that a run is tested on and that are still there. */
function testedPhotos({ source }: TrainedModel): string[] {
  if (!RunFolder.exists(source)) return [];
  const run = RunFolder.open(source);
  if (!existsSync(run.testImagesFile)) return [];
  return some(run.testImages().queries.paths).filter((path) => existsSync(fileOfImage(path)));
}

/** Some of the images of an index that are still there. */
function photosOfIndex(index: ImageIndex): string[] {
  const folder = index.origin?.folder;
  const items = some([...index.items()]);
  return items.flatMap(({ images: [image] }) => {
    const path = image?.path && folder ? join(folder, image.path) : null;
    return path !== null && existsSync(fileOfImage(path)) ? [path] : [];
  });
}

/** Evenly many of all parts. */
function some<T>(all: readonly T[]): T[] {
  const step = Math.max(1, all.length / PHOTOS);
  return Array.from({ length: Math.min(all.length, PHOTOS) }, (_, i) => all[Math.floor(i * step)] as T);
}

function lineOf({ file, precision, bytes, difference, loss }: ExportedGraph): string {
  const size = `${file}: ${precision}, ${(bytes / 1e6).toFixed(1)} MB`;
  if (difference === null) return `${size}\n`;
  const { pictures, cosPixels, cosFile, largest } = difference;
  const ofFile = cosFile === null ? '' : `, from the same file ${cosFile.toFixed(7)}`;
  return `${size}; on ${pictures} pictures the least cosine to the model is ${cosPixels.toFixed(7)} from the same pixels${ofFile}, the largest difference ${largest.toExponential(1)}${lossOf(loss)}\n`;
}

function indexLine({ file, items, rows, bytes, difference }: ExportedIndex): string {
  const size = `${file}: ${items} items, ${rows} images in 8 bits, ${(bytes / 1e6).toFixed(1)} MB`;
  if (difference === null) return `${size}\n`;
  const { queries, k, recall, largest } = difference;
  return `${size}; finds ${(100 * recall).toFixed(1)} % of the ${k} nearest of ${queries} of its images, the largest difference of a similarity ${largest.toExponential(1)}\n`;
}

function lossOf(loss: ExportedGraph['loss']): string {
  if (loss === null) return '';
  const points = ({ model, graph }: { model: number; graph: number }) =>
    `${(100 * graph).toFixed(1)} % instead of ${(100 * model).toFixed(1)} %`;
  return `; of ${loss.images} test images R@1 is ${points(loss.recallAt1)}, MAP@R ${points(loss.mapAtR)}`;
}
