import { createHash } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { IndexFolder, UserError, whatWouldBeLost } from '@conquer-dml/run';
import type { GroupPlace, ProcessGroup } from '@conquer-dml/torch';
import { type Command, Option } from 'commander';
import { cacheFolder } from '../../cache-folder.js';
import { folderOfImages } from '../../datasets/found-images.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import type { TestTimeOptions } from '../../models/test-time.js';
import { isPretrained } from '../../models/weights/pretrained.js';
import type { AskedPrecision } from '../../precision.js';
import type { AnyIndex } from '../../retrieve/any-index.js';
import { outgrown } from '../../retrieve/calibrate-index.js';
import { removeKeptRows } from '../../retrieve/embed-in-portions.js';
import type { Embedder } from '../../retrieve/embedder.js';
import { embedForFirst, endEmbedding, GroupEmbedder } from '../../retrieve/group-embedder.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { indexCsv } from '../../retrieve/index-csv.js';
import { isEmbeddingFile, putEmbeddings, readEmbeddings } from '../../retrieve/index-embeddings.js';
import { type IndexedFolder, type IndexFolderOptions, indexFolder } from '../../retrieve/index-folder.js';
import { type IndexedItems, originOf } from '../../retrieve/index-items.js';
import { calibrationOfModel } from '../../retrieve/model-calibration.js';
import { StoreIndex } from '../../retrieve/store-index.js';
import { requiredStore, STORE_EXAMPLES, type StoreAddress } from '../../retrieve/stores/stores.js';
import type { TrainedModel } from '../../retrieve/trained-model.js';
import { setUpEngine } from '../../train/engine.js';
import { type EmbeddingFlags, embeddingFlags, modelFlags } from '../embedding-flags.js';
import { namingFlags } from '../fill.js';
import { inGroup, ownDevice } from '../group-place.js';
import { inProcesses, nprocOption } from '../launch.js';
import { isFile, modelNamed, modelOf } from '../model-of.js';
import { requireWritableFolder } from '../output-file.js';
import { stoppable } from '../stop-signals.js';
import { type Output, outputOf, progressBar } from '../terminal.js';
import { addTestTimeFlags, testTimeFlags } from '../test-time-flags.js';

interface IndexFlags extends EmbeddingFlags {
  nproc?: number;
  out?: string;
  store?: string;
  datasetDir?: string;
  cache?: string;
  prefix?: string;
  flips?: boolean;
  crops?: string;
}

export function add(program: Command): undefined {
  const command = program
    .command('index')
    .description('embed images, to search them')
    .usage('[options] [run] <folder, CSV file or embeddings>')
    .argument(
      '<paths...>',
      'images, in a folder or its subfolders, in .tar or .parquet shards, listed in a CSV file, or, for a --store, what conquer embed wrote; before it the run, instead of --model',
    );
  modelFlags(command)
    .option(
      '--out <folder>',
      'the index, a folder (default: FOLDER.index in the run folder, beside the checkpoint, or here)',
    )
    .option('--store <store>', `a database for it: ${STORE_EXAMPLES}`)
    .addOption(nprocOption('embed'))
    // As train and eval have them, for who gives all three the same; an index has no use for them, and says so.
    .addOption(new Option('--dataset-dir <path>').hideHelp())
    .addOption(new Option('--cache <name>').choices(['yes', 'no']).hideHelp());
  addTestTimeFlags(command);
  embeddingFlags(command)
    .addHelpText(
      'after',
      '\nInterrupted, it goes on; images that have not changed are not embedded again.\nA CSV file names its columns in its first line: path[,id][,label][,…]; others\nare the payload, and rows of one id images of one item.\nExample: conquer index runs/demo photos\n         conquer index runs/demo products.csv --out shop.index',
    )
    .action(async (paths: string[], options: IndexFlags) => {
      await inProcesses(options.nproc, (place) => indexGiven(paths, options, place));
    });
}

/** What the flags say, as one process of those that embed together. */
async function indexGiven(
  paths: readonly string[],
  options: IndexFlags,
  place: GroupPlace | null,
): Promise<void> {
  const isFirst = place === null || place.rank === 0;
  const progress = outputOf(isFirst);
  const { folder, model: named } = modelAndFolder(paths, options.model);
  const { out: file, model: _, threads, json = false, datasetDir, cache, ...flags } = options;
  const { prefix, flips, crops, device, nproc: _nproc, ...others } = flags;
  const note = (text: string) => void progress.write(`note: ${text}\n`);
  if (datasetDir !== undefined) note(`--dataset-dir has no effect: an index is of the images in ${folder}`);
  if (cache !== undefined) note('--cache has no effect: an index reads each image once');
  await runIndex({
    run: modelNamed(named, progress),
    folder,
    file,
    ...others,
    device: device && ownDevice(device, process.env),
    place,
    testTime: testTimeFlags({ prefix, flips, crops }),
    threads: threads === undefined ? null : threadsOf(threads),
    json,
    progress,
    out: process.stdout,
  });
}

/** @throws UserError that names the flag */
function storeOf(text: string): StoreAddress {
  try {
    return requiredStore(text);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`--store: ${error.message}`) : error;
  }
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
  /** A database that it goes into, in the place of a folder: `lancedb:DIR`, … */
  store?: string | undefined;
  /** Default: named after the folder, in the run's folder, beside the checkpoint, or, of a published model, here. */
  file?: string | undefined;
  checkpoint: 'best' | 'last';
  device?: string | undefined;
  precision?: AskedPrecision | undefined;
  plugin?: string | undefined;
  /** Null: one a core. */
  threads: number | null;
  onBadImage: 'skip' | 'fail';
  /** How the model is used, beside what it was trained with; the index says it, and its searches do the same. */
  testTime?: Partial<TestTimeOptions> | undefined;
  /** Among the processes that embed together, of which rank 0 writes and prints; null or left out: alone. */
  place?: GroupPlace | null | undefined;
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

/** What is to be indexed. */
interface Images {
  /** A folder, shards, or a CSV file. */
  path: string;
  isCsv: boolean;
  /** That paths are relative to. */
  folder: string;
}

/** Embeds the images of a folder, or of a CSV file; those that an index of it has already are taken from there. */
export async function runIndex(command: IndexCommand): Promise<void> {
  const work = async (group: ProcessGroup) => {
    // Of several, the others end at a signal too, and rank 0 hears that they are gone.
    if (group.size === 1)
      return await stoppable(command.progress, (signal) => indexIn(group, command, signal));
    if (!group.isFirst) return await embedForIndex(group, command);
    let hasFailed = true;
    try {
      await indexIn(group, command);
      hasFailed = false;
    } finally {
      endEmbedding(group, hasFailed);
    }
  };
  await inGroup(command.place ?? null, work, { goOn: 'the same command goes on where it was' });
}

/** Has part in it as another process than rank 0, which says what fails. */
async function embedForIndex(group: ProcessGroup, command: IndexCommand): Promise<void> {
  const { threads, device } = command;
  namingFlags(() => setUpEngine({ train: { threads, device: device ?? 'cpu' } }));
  using model = await modelOfCommand(command);
  const { hasFailed } = await embedForFirst(group, model, { threads: threads ?? undefined });
  if (hasFailed) process.exitCode = 2;
}

const modelOfCommand = (command: IndexCommand): Promise<TrainedModel> => {
  const { run, checkpoint, device, precision, plugin, arch, revision, testTime, progress } = command;
  return modelOf(run, { checkpoint, device, precision, plugin, arch, revision, testTime, progress });
};

async function indexIn(group: ProcessGroup, command: IndexCommand, signal?: AbortSignal): Promise<void> {
  const { run, device, threads, progress } = command;
  const store = command.store === undefined ? null : storeOf(command.store);
  if (store !== null && command.file !== undefined)
    throw new UserError(
      '--store: expected it or --out, got both; --out is for an index in a folder of its own',
    );
  const given = store?.kind === null ? store.place : command.file;
  const path = resolve(command.folder);
  const isCsv = path.toLowerCase().endsWith('.csv') && isFile(path);
  const images = { path, isCsv, folder: isCsv ? dirname(path) : await folderOfImages(path) };
  const name = isCsv ? basename(path).slice(0, -4) : basename(path);
  const file = given ?? join(folderOf(run), `${name}.index`);
  if (given !== undefined) requireWritableFolder('--out', file);
  namingFlags(() => setUpEngine({ train: { threads, device: device ?? 'cpu' } }));
  using model = await modelOfCommand(command);
  const embedder = group.size === 1 ? model : new GroupEmbedder(model, group);
  const keepIn = store?.kind == null ? `${resolve(file)}.partial` : partialOf(command.store!);
  const embed: Embed = (previous) => embeddedInto(embedder, images, previous, { ...command, keepIn, signal });
  if (store !== null && store.kind !== null)
    return await indexIntoStore(command.store!, model, images, embed, keepIn, command);
  if (given === undefined) requireWritableFolder('the index', file);
  const isNew = !new IndexFolder(file).exists();
  const next = {
    folder: images.folder,
    embedder: model.id,
    source: model.source,
    checkpoint: model.checkpoint,
  };
  using lock = ImageIndex.lock(file);
  using previous = opened(file, isNew);
  const lost =
    previous && !isNew
      ? whatWouldBeLost({ origin: previous.origin, sample: previous.sample }, next, dirname(resolve(file)))
      : null;
  if (lost !== null)
    throw new UserError(`${file} is ${lost}: name another one for this with --out, or delete that one`);
  const before = previous?.imageCount ?? 0;
  const wasCalibrated = previous?.calibration != null;
  const indexed = await embed(previous);
  const { index } = indexed;
  await calibrateAnew(index, model, { wasCalibrated, path: file, progress });
  index.save(file, { lock });
  removeKeptRows(keepIn);
  report(command, file, before, indexed);
  if (index !== previous) index.dispose();
}

/** The same into a database; what is there is changed at once, or not at all. */
async function indexIntoStore(
  address: string,
  model: TrainedModel,
  images: Images,
  embed: Embed,
  keepIn: string,
  command: IndexCommand,
): Promise<void> {
  const { path } = images;
  const table = isFile(path) && isEmbeddingFile(path) ? await readEmbeddings(path, model) : null;
  const folder = table?.folder ?? images.folder;
  await using index = await StoreIndex.openOrCreate(address, model.dim, originOf(model, folder));
  const before = index.imageCount;
  const wasCalibrated = index.calibration !== null;
  let indexed: Indexed = { index, embedded: 0, kept: 0, bad: [] };
  try {
    if (table === null) indexed = await embed(index);
    else {
      await index.requireSpaceFor(model, folder);
      await putEmbeddings(index, table);
    }
  } catch (error) {
    await index.undoCreation();
    throw error;
  }
  await calibrateAnew(index, model, { wasCalibrated, path: index.name, progress: command.progress });
  await index.save();
  removeKeptRows(keepIn);
  report(command, index.name, before, indexed);
}

/** Where rows for a store wait until all are there: it may be no folder that something could lie beside. */
function partialOf(address: string): string {
  const name = createHash('sha256').update(`${process.cwd()}\0${address}`).digest('hex').slice(0, 32);
  return join(cacheFolder(), 'partial', name);
}

/** Embeds what an index does not have. */
type Embed = <Index extends AnyIndex>(
  previous: Index | null,
) => Promise<IndexedFolder<Index> | IndexedItems<Index>>;

type Indexed = IndexedFolder<AnyIndex> | IndexedItems<AnyIndex>;

async function embeddedInto<Index extends AnyIndex>(
  embedder: Embedder,
  { path, isCsv }: Images,
  previous: Index | null,
  {
    onBadImage,
    threads,
    progress,
    keepIn,
    signal,
  }: IndexCommand & { keepIn: string; signal?: AbortSignal | undefined },
): Promise<IndexedFolder<Index> | IndexedItems<Index>> {
  const options: IndexFolderOptions<Index> = {
    previous,
    keepIn,
    onBadImage,
    signal,
    threads: threads ?? undefined,
    onProgress: progressBar(progress, 'embedding'),
    onWarning: (message) => progress.write(`warning: ${message}\n`),
  };
  return isCsv ? await indexCsv(embedder, path, options) : await indexFolder(embedder, path, options);
}

/** Gives an index what its model knows of similarities, and says where that it has fits no more. */
async function calibrateAnew(
  index: AnyIndex,
  model: TrainedModel,
  { wasCalibrated, path, progress }: { wasCalibrated: boolean; path: string; progress: Output },
): Promise<void> {
  index.calibration = calibrationOfModel(model) ?? index.calibration;
  if (wasCalibrated && index.calibration === null)
    progress.write(
      'warning: the index was calibrated by weights that it is no longer of: calibrate it again (conquer calibrate)\n',
    );
  const unfit = await outgrown(index);
  if (unfit !== null) progress.write(`warning: ${unfit} (conquer calibrate ${path})\n`);
}

function report({ json, out, progress }: IndexCommand, path: string, before: number, indexed: Indexed): void {
  const { index, embedded, kept } = indexed;
  const { count, imageCount } = index;
  const leftOut = 'leftOut' in indexed ? indexed.leftOut : null;
  if (leftOut && leftOut.files + leftOut.folders > 0) progress.write(`warning: ${leftOut}\n`);
  const left = leftOut?.files ?? ('bad' in indexed ? indexed.bad.length : 0);
  const removed = 'removed' in indexed ? indexed.removed : Math.max(0, before + embedded - imageCount);
  if (json) {
    const counts = { items: count, images: imageCount, embedded, kept, removed, leftOut: left };
    out.write(`${JSON.stringify({ index: path, ...counts })}\n`);
    return;
  }
  const earlier = kept > 0 ? ` (${kept} before it was interrupted)` : '';
  const gone = removed > 0 ? `, ${removed} removed` : '';
  const items = count === imageCount ? '' : ` of ${count} items`;
  out.write(
    `${path}: ${imageCount} images${items}, ${embedded} of them embedded now${earlier}${gone}\n` +
      `search it: npx conquer search ${path} IMAGE\n`,
  );
}

/** The index that is there, or one of an earlier version under the name that this had: what it holds is not embedded again. */
function opened(path: string, isNew: boolean): ImageIndex | null {
  if (!isNew) return ImageIndex.open(path);
  const earlier = `${path}.safetensors`;
  return isFile(earlier) ? ImageIndex.open(earlier) : null;
}
