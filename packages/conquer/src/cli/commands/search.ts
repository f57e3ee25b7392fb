import { existsSync } from 'node:fs';
import type { ImageError } from '@conquer-dml/image';
import { fileOfImage, UserError } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import type { AskedPrecision } from '../../precision.js';
import { openAnyIndex } from '../../retrieve/any-index.js';
import { augmentIndex } from '../../retrieve/augment-index.js';
import { type Classified, classify } from '../../retrieve/classify.js';
import { ImageIndex } from '../../retrieve/image-index.js';
import type { Match } from '../../retrieve/match.js';
import { searchLabelled } from '../../retrieve/search-where.js';
import { setUpEngine } from '../../train/engine.js';
import { precisionOption } from '../embedding-flags.js';
import { maxFalseMatchOf } from '../false-match-flag.js';
import { namingFlags } from '../fill.js';
import { modelOfIndex } from '../model-of-index.js';
import { retrievalOf } from '../retrieval-flags.js';
import { findRun } from '../runs.js';
import type { Output } from '../terminal.js';
import { wholeNumberOf } from '../whole-number.js';

interface SearchFlags {
  top: string;
  per: 'item' | 'image';
  maxFalseMatch?: string;
  label?: string;
  classify?: boolean;
  approximate?: boolean;
  rerank?: string;
  expand?: string;
  run?: string;
  arch?: string;
  folder?: string;
  device?: string;
  precision?: AskedPrecision;
  plugin?: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  program
    .command('search')
    .description('find the indexed images that are most like some images')
    .argument('<index>', 'what conquer index wrote, or its --store')
    .argument('<image...>', 'image files')
    .option('--top <k>', 'matches of each image', '10')
    .addOption(
      new Option('--per <what>', 'answer by items, each by its nearest image, or by images')
        .choices(['item', 'image'])
        .default('item'),
    )
    .option(
      '--max-false-match <rate>',
      'leave out what is less alike than this false-match rate asks for (conquer calibrate)',
    )
    .option('--label <name>', 'only items that have this label')
    .option('--classify', 'say the class of each image, by a vote of the 20 nearest items that have one')
    .option('--approximate', "look at few of the rows, by the index's graph (conquer items --graph)")
    .option('--rerank <k1,k2,lambda>', 're-rank the 100 nearest by mutual neighbours; yes: 20,6,0.3')
    .option('--expand <what,k,alpha>', 'queries, gallery or both take up their nearest first, as queries,3,3')
    .option('--run <folder>', 'the run, or the file of weights, if it is no longer where it was')
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .option('--folder <folder>', 'the folder of the indexed images, if it is no longer where it was')
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .addOption(precisionOption('[float32]'))
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print a line of JSON for each image')
    .addHelpText('after', '\nExample: conquer search runs/demo/photos.index new.jpg --top 5')
    .action(async (file: string, images: string[], options: SearchFlags) => {
      const unanswered = await runSearch({
        file,
        images,
        ...options,
        ...(options.run !== undefined && { run: findRun(options.run) }),
        json: options.json ?? false,
        out: process.stdout,
        warnings: process.stderr,
      });
      if (unanswered > 0) process.exitCode = 2;
    });
}

export interface SearchCommand {
  /** The index: its folder, or the file of one of an earlier version. */
  file: string;
  images: string[];
  /** Matches of each image. */
  top: string;
  /** Default 'item'. */
  per?: 'item' | 'image' | undefined;
  /** A rate, of a calibrated index; default: all matches are given. */
  maxFalseMatch?: string | undefined;
  /** By the index's graph; default: all rows are looked at. */
  approximate?: boolean | undefined;
  /** Only items that have this label. */
  label?: string | undefined;
  /** Whether each image's class is said too. */
  classify?: boolean | undefined;
  /** As on the command line. */
  rerank?: string | undefined;
  expand?: string | undefined;
  /** The run's folder, where it is no longer where the index was made. */
  run?: string | undefined;
  /** Which network the weights of a file are of. */
  arch?: string | undefined;
  /** Where the images of the index are now, if they were moved. */
  folder?: string | undefined;
  device?: string | undefined;
  precision?: AskedPrecision | undefined;
  plugin?: string | undefined;
  json: boolean;
  out: Output;
  /** Takes what is to be said of images that cannot be read, or are no longer there. */
  warnings: Output;
}

/**
 * The indexed images that are nearest to each of some images.
 * @returns of how many images there is no answer, as they cannot be read
 */
export async function runSearch(command: SearchCommand): Promise<number> {
  const { file, images, top, per, approximate, device, precision, plugin, folder, out, warnings } = command;
  const k = wholeNumberOf('--top', top);
  const maxFalseMatch = maxFalseMatchOf(command.maxFalseMatch);
  const { rerank, expand } = retrievalOf({ rerank: command.rerank, expand: command.expand });
  if (expand?.what === 'joint')
    throw new UserError(
      '--expand: expected queries, gallery or both; joint expands all queries together, which is for conquer eval',
    );
  if (approximate && expand && expand.what !== 'queries')
    throw new UserError(
      `--expand: expected queries beside --approximate, got ${expand.what}; a gallery that is expanded has no graph: leave out one of them`,
    );
  namingFlags(() => setUpEngine({ train: { device } }));
  await using index = await openAnyIndex(file, { folder });
  const refined = rerank ? '--rerank' : expand ? '--expand' : null;
  if (refined !== null && !(index instanceof ImageIndex))
    throw new UserError(`${refined}: an index in a store is searched as it is: leave it out`);
  if (approximate && !index.graph)
    throw new UserError(
      `--approximate: ${file} has no graph; conquer items ${file} --graph builds one, where it can have one`,
    );
  if (index.count === 0)
    throw new UserError(`${file} holds no items: conquer index puts a folder's images into it`);
  using model = await modelOfIndex(index, {
    ...{ file, device, precision, plugin, progress: warnings },
    run: command.run,
    arch: command.arch,
  });
  const bad = new Map<number, ImageError>();
  const queries = await model.embed(images, { onBad: (error, place) => bad.set(place, error) });
  const { what, k: neighbours, alpha } = { ...expand };
  const by = expand && { ...(neighbours && { k: neighbours }), ...(alpha !== undefined && { alpha }) };
  using augmented = by && what !== 'queries' ? augmentIndex(index as ImageIndex, by) : null;
  const refine = { rerank, ...(what !== 'gallery' && { expand: by }) };
  const matches =
    bad.size < images.length
      ? await searchLabelled(augmented ?? index, queries, k, command.label ?? null, {
          per,
          maxFalseMatch,
          approximate,
          ...refine,
        })
      : [];
  const classes = command.classify && bad.size < images.length ? await classify(index, queries) : [];
  let answered = 0;
  let missing = 0;
  for (const [place, query] of images.entries()) {
    const error = bad.get(place);
    if (error) {
      warnings.write(`conquer: ${error.message}\n`);
      if (command.json) out.write(`${JSON.stringify({ query, error: error.message })}\n`);
      continue;
    }
    const voted = classes[answered];
    const found = (matches[answered++] ?? []).map((match) =>
      match.path === null || existsSync(fileOfImage(match.path)) ? match : { ...match, missing: true },
    );
    missing += found.filter((match) => 'missing' in match).length;
    if (command.json)
      out.write(`${JSON.stringify({ query, ...(voted && { class: classOf(voted) }), matches: found })}\n`);
    else
      out.write(
        `${shown(query)}\n${voted ? classLine(voted) : ''}${found.map((match, rank) => line(match, rank, k)).join('') || '  no match\n'}`,
      );
  }
  if (
    command.label !== undefined &&
    maxFalseMatch === undefined &&
    matches.every(({ length }) => length === 0)
  )
    warnings.write(`note: no item of ${file} has the label ${JSON.stringify(command.label)}\n`);
  if (missing > 0)
    warnings.write(
      `warning: ${missing} of the images that were found are no longer in ${index.origin?.folder}: if it was moved, say where it is now with --folder; if they were deleted, index it again\n`,
    );
  return bad.size;
}

const classOf = ({ label, confidence, votes }: Classified) => ({ label, confidence, votes });

const classLine = ({ label, confidence }: Classified): string =>
  label === null
    ? '  no class: no item has a label\n'
    : `  class ${shown(label)}, ${Math.round(100 * confidence)} % of the votes\n`;

function line(match: Match & { missing?: boolean }, rank: number, k: number): string {
  const { id, path, similarity, missing } = match;
  const place = String(rank + 1).padStart(String(k).length + 2);
  return `${place}  ${similarity.toFixed(3)}  ${shown(path ?? id)}${missing ? '  (no longer there)' : ''}\n`;
}

/** A name may hold a line break, or what a terminal obeys. */
const shown = (path: string) => path.replaceAll(/\p{Cc}/gu, '?');
