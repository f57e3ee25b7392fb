import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { counted, type Json, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { testTimeOf } from '../../models/test-time.js';
import type { AskedPrecision } from '../../precision.js';
import { type AnyIndex, openAnyIndex } from '../../retrieve/any-index.js';
import { outgrown } from '../../retrieve/calibrate-index.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import { placeOf, storeAddress } from '../../retrieve/stores/stores.js';
import type { TrainedModel } from '../../retrieve/trained-model.js';
import { setUpEngine } from '../../train/engine.js';
import { precisionOption } from '../embedding-flags.js';
import { namingFlags } from '../fill.js';
import { modelOf } from '../model-of.js';
import { findRun } from '../runs.js';
import { type Output, progressBar } from '../terminal.js';

interface ItemsFlags {
  add?: string[];
  id?: string;
  label?: string[];
  payload?: string;
  remove?: string[];
  merge?: string;
  compact?: boolean;
  graph?: boolean;
  check?: boolean;
  run?: string;
  device?: string;
  precision?: AskedPrecision;
  plugin?: string;
}

export function add(program: Command): undefined {
  program
    .command('items')
    .description('list, add and remove the items of an index')
    .argument('<index>', 'what conquer index wrote, or its --store')
    .option('--add <image...>', 'images of one item; an item of its id is replaced')
    .option('--id <id>', 'of the item that is added [the name of its first image]')
    .option('--label <label...>', 'of the item that is added')
    .option('--payload <json>', 'of the item that is added: what comes back with it')
    .option('--remove <id...>', 'items that go')
    .option('--merge <index>', 'add all items of another index of the same model')
    .option('--compact', 'write all anew in one piece, without what was removed')
    .option(
      '--graph',
      "build a graph for approximate searches (usearch, or the store's), proven by exact ones",
    )
    .option('--check', 'read all, and compare it with its checksums')
    .option('--run <folder>', 'the run, or the file of weights, if it is no longer where it was')
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .addOption(precisionOption('[float32]'))
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .addHelpText(
      'after',
      '\nWithout an option, a line of JSON for each item.\nExample: conquer items shop.index --add a.jpg b.jpg --id sku-17 --label shoe\n         conquer items shop.index --remove sku-17',
    )
    .action(
      async (index: string, flags: ItemsFlags) =>
        await runItems({ index, ...flags, out: process.stdout, progress: process.stderr }),
    );
}

export interface ItemsCommand extends ItemsFlags {
  index: string;
  out: Output;
  /** Takes warnings, and what is to be said of weights that are fetched. */
  progress: Output;
}

/** Lists an index's items, or changes it. */
export async function runItems(command: ItemsCommand): Promise<void> {
  const { add: images, remove, merge, compact, graph, check, out } = command;
  const path = placeOf(command.index);
  for (const name of ['id', 'label', 'payload'] as const)
    if (command[name] !== undefined && images === undefined)
      throw new UserError(`--${name}: expected --add with it, the images of an item`);
  if (command.label?.includes('')) throw new UserError('--label: expected a text, got an empty one');
  const writes = images ?? remove ?? merge ?? (compact || graph || undefined);
  const store = storeAddress(path);
  const isStore = store?.kind != null;
  const ofOwn = (['merge', 'compact', 'check'] as const).find((name) => command[name] !== undefined);
  if (store?.kind && ofOwn !== undefined) {
    const instead =
      ofOwn === 'merge'
        ? 'add its images with --add, or a folder of them with conquer index --store'
        : store.kind.own(store.place)[ofOwn];
    throw new UserError(
      `--${ofOwn}: expected an index in a folder of its own, got one in a store; ${instead}`,
    );
  }
  if (check) {
    ImageIndex.check(path);
    out.write(`${path}: whole\n`);
  }
  if (writes === undefined) {
    await using index = await openAnyIndex(path);
    if (!check) for await (const item of index.items()) out.write(`${JSON.stringify(item)}\n`);
    return;
  }
  const payload = command.payload === undefined ? null : jsonOf(command.payload);
  // Looked at first: where there is none, none is made.
  if (!isStore) ImageIndex.open(path).dispose();
  using lock = isStore ? null : ImageIndex.lock(path);
  await using index = await openAnyIndex(path, { write: true });
  if (remove) {
    for (const id of remove)
      if ((await index.item(id)) === undefined)
        throw new UserError(`--remove: ${path} has no item ${id}; conquer items ${path} lists them`);
    await index.remove(remove);
  }
  if (images) await addItem(index, images, { ...command, payload });
  if (merge !== undefined && index instanceof ImageIndex) {
    using other = ImageIndex.open(placeOf(merge));
    try {
      index.merge(other);
    } catch (error) {
      throw error instanceof RangeError ? new UserError(`--merge ${merge}: ${error.message}`) : error;
    }
  }
  if (graph) await index.buildGraph({ onProgress: progressBar(command.progress, 'building the graph') });
  const unfit = await outgrown(index);
  if (unfit !== null) command.progress.write(`warning: ${unfit} (conquer calibrate ${path})\n`);
  if (index instanceof ImageIndex) index.save(path, { lock: lock!, compact: compact ?? false });
  out.write(`${path}: ${index.count} items with ${index.imageCount} images\n`);
  if (graph && index.graph === null)
    out.write('it compares all rows, or has too few for a graph: all searches are exact\n');
  else if (graph) {
    const { recall, k, queries } = index.graph!;
    // Graphs of the same rows differ by a few tenths.
    const least = Math.min(99, Math.floor(100 * recall));
    out.write(
      `its graph finds ${least} % or more of the ${k} nearest, seen in ${counted(queries, 'query', 'queries')}: conquer search --approximate\n`,
    );
  }
}

async function addItem(
  index: AnyIndex,
  images: readonly string[],
  {
    index: path,
    run,
    device,
    precision,
    plugin,
    id,
    label,
    payload,
    progress,
  }: Omit<ItemsCommand, 'payload'> & { payload: Json },
): Promise<void> {
  const { origin } = index;
  const source = run === undefined ? origin?.source : findRun(run);
  if (!origin || !source)
    throw new UserError(
      `${path} is of rows that no run made: items are added from a program, with rows of the same kind`,
    );
  namingFlags(() => setUpEngine({ train: { device } }));
  const testTime = testTimeOf(origin.embedder);
  using model = await modelOf(source, {
    checkpoint: origin.checkpoint,
    device,
    precision,
    plugin,
    testTime,
    progress,
  });
  index.requireEmbedder(model);
  const rows = await embedded(model, images);
  const name = id ?? basename(images[0]!);
  await index.update(rows, [{ id: name, labels: label, payload, images: images.length }]);
}

async function embedded(model: TrainedModel, images: readonly string[]): Promise<Float32Array> {
  const bytes = images.map((image) => new Uint8Array(readImage(image)));
  const problems: string[] = [];
  const rows = await model.embed(bytes, {
    onBad: ({ reason }, place) => problems.push(`--add ${images[place]}: it is no image: ${reason}`),
  });
  if (problems.length > 0) throw new UserError(problems[0]!);
  return rows;
}

function readImage(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`--add ${path}: it cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function jsonOf(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UserError(`--payload: expected JSON, got ${text} (${(error as Error).message})`);
  }
}
