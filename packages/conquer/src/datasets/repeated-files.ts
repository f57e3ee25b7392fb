import { resolve } from 'node:path';
import { counted, UserError } from '@conquer-dml/run';
import { fileIdentities } from '../data/file-identity.js';
import { findCopies, MOST_COMPARED } from './copies.js';
import type { Dataset, Split } from './dataset.js';
import { splitAt } from './split-at.js';

export interface RepeatedFilesOptions {
  /** What lists the images, as messages name it. */
  source: string;
  /**
   * The lists are published: what is repeated in them is only said, as the numbers in the literature are of these lists,
   * and copies are not looked for. Default false.
   */
  published?: boolean;
  /** Images that are left out afterwards, see `DatasetContext`: what they are copies of is as if they were not there. */
  excluded?: readonly string[] | undefined;
  /** Told of what is left out or deviates, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** A place at which a data set lists a file. */
interface Place {
  split: Split;
  index: number;
}

/** Groups of places that one file, or copies of one, stand at. */
interface Repeated {
  /** In training and in test, or in validation. */
  across: Place[][];
  /** With two classes. */
  twoLabels: Place[][];
  /** More than once in one split, with one class. */
  again: Place[][];
  /** Among the queries and in the gallery. */
  own: Place[][];
}

/**
 * Finds files that a data set lists more than once, under one name or under several (links of either kind): by device
 * and inode. One file listed again is left out, with a warning. A query whose file is in the gallery stays in both: its
 * own search leaves it out, see `ownInGallery`. Exact copies, other files of the same bytes, are counted in a warning.
 *
 * @throws UserError where a file has two labels, or is in training and in test
 */
export async function withoutRepeatedFiles(
  dataset: Dataset,
  { source, published = false, excluded = [], onWarning }: RepeatedFilesOptions,
): Promise<Dataset> {
  const { train, validation, test, gallery, testSets = [] } = dataset;
  const splits = [train, validation, test, gallery].filter((split) => split !== undefined);
  const files = await filesOf(splits);
  const found = classified(dataset, files.repeated);
  for (const other of testSets.filter((split) => split !== test))
    found.across.push(...classified(dataset, (await filesOf([train, other])).repeated).across);
  const { across, twoLabels, again, own } = found;
  const roleIn = (place: Place) => roleOf(dataset, place);
  const complain = (message: string) => {
    if (!published) throw new UserError(`${source}: ${message}`);
    onWarning?.(`${source}: ${message}`);
  };
  if (across.length > 0)
    complain(
      `${counted(across.length, 'file is', 'files are')} listed for training and for ${rolesOf(dataset, across)}, ${example(across, roleIn)}; what was trained on cannot be tested on: list a file once`,
    );
  if (twoLabels.length > 0)
    complain(
      `${counted(twoLabels.length, 'file has', 'files have')} two labels, ${example(twoLabels, classOf)}; list a file once, with its class`,
    );
  if (again.length > 0) {
    const what = published ? 'more than once' : 'more than once: it counts once';
    onWarning?.(
      `${source}: ${counted(again.length, 'file is', 'files are')} listed ${what}, ${example(again, pathOf)}`,
    );
  }
  if (own.length > 0) {
    onWarning?.(
      `${source}: ${counted(own.length, 'query is', 'queries are')} in the gallery too, ${example(own, splitOf)}; a query is never compared with its own file`,
    );
  }
  if (published) return dataset;
  const left = new Set(excluded.map((path) => resolve(dataset.folder ?? '/', path)));
  await tellCopies(dataset, { ...files, isLeftOut: (place) => left.has(pathOf(place)) }, source, onWarning);
  return dropAgain(dataset, again);
}

/** The distinct files of splits. */
interface ListedFiles {
  /** Each by the name that comes first. */
  paths: string[];
  /** In bytes. */
  sizes: number[];
  /** All places of a file. */
  placesOf(file: number): Place[];
  /** Those of each file that stands at more than one. */
  repeated: Place[][];
}

async function filesOf(splits: readonly Split[]): Promise<ListedFiles> {
  const all = splits.flatMap((split) => split.paths);
  const { files, sizes } = await fileIdentities(all);
  const placeOf = (at: number): Place => {
    let index = at;
    for (const split of splits) {
      if (index < split.paths.length) return { split, index };
      index -= split.paths.length;
    }
    throw new RangeError(`there is no place ${at}`);
  };
  const found = { paths: [] as string[], sizes: [] as number[] };
  const firsts: number[] = [];
  // Of most files there is one place: it has no list of its own.
  const others = new Map<number, number[]>();
  for (let at = 0; at < files.length; at++) {
    const file = files[at]!;
    if (file < 0) continue;
    if (file === firsts.length) {
      firsts.push(at);
      found.paths.push(all[at]!);
      found.sizes.push(sizes[at]!);
      continue;
    }
    const known = others.get(file);
    if (known) known.push(at);
    else others.set(file, [at]);
  }
  const placesOf = (file: number) => [firsts[file]!, ...(others.get(file) ?? [])].map(placeOf);
  const repeated = [...others.keys()].sort((a, b) => a - b).map(placesOf);
  return { ...found, placesOf, repeated };
}

/** Queries and gallery are one role: they are tested together. */
function roleOf({ train, validation }: Dataset, { split }: Place): 'training' | 'validation' | 'test' {
  if (split === train) return 'training';
  return split === validation ? 'validation' : 'test';
}

function classified(dataset: Dataset, groups: readonly Place[][]): Repeated {
  const found: Repeated = { across: [], twoLabels: [], again: [], own: [] };
  for (const places of groups) {
    if (places.length < 2) continue;
    if (new Set(places.map((place) => roleOf(dataset, place))).size > 1) found.across.push(places);
    else if (new Set(places.map(classOf)).size > 1) found.twoLabels.push(places);
    else {
      const splits = new Set(places.map(({ split }) => split));
      if (splits.size < places.length) found.again.push(places);
      if (splits.size > 1) found.own.push(places);
    }
  }
  return found;
}

async function tellCopies(
  dataset: Dataset,
  { paths, sizes, placesOf, isLeftOut }: ListedFiles & { isLeftOut: (place: Place) => boolean },
  source: string,
  onWarning?: (message: string) => void,
): Promise<void> {
  const found = await findCopies(paths, sizes);
  if (found === null) {
    onWarning?.(
      `${source}: exact copies were not looked for: too many images have the size of another (more than ${MOST_COMPARED.files.toLocaleString('en-US')}, or ${MOST_COMPARED.bytes / 2 ** 30} GiB of them)`,
    );
    return;
  }
  const roleIn = (place: Place) => roleOf(dataset, place);
  const copies = found
    .map((group) => group.map((file) => placesOf(file).filter((place) => !isLeftOut(place))))
    .map((group) => group.filter((places) => places.length > 0))
    .filter((group) => group.length > 1)
    .map((group) => group.flat());
  const { across, twoLabels, again, own } = classified(dataset, copies);
  const each = [
    across.length > 0 &&
      `${across.length} in training and in ${rolesOf(dataset, across)}, ${example(across, roleIn)}`,
    twoLabels.length > 0 && `${twoLabels.length} with two labels, ${example(twoLabels, classOf)}`,
    own.length > 0 &&
      `${own.length} among the queries and in the gallery, which find each other and better the numbers, ${example(own, splitOf)}`,
    again.length > 0 && `${again.length} in one class, ${example(again, pathOf)}`,
  ].filter((text) => text !== false);
  if (each.length > 0)
    onWarning?.(
      `${source}: ${counted(copies.length, 'image has', 'images have')} exact copies: ${each.join('; ')}`,
    );
}

/** Of the places of a file in one split only the first stays. */
function dropAgain(dataset: Dataset, again: readonly Place[][]): Dataset {
  if (again.length === 0) return dataset;
  const dropped = new Map<Split, Set<number>>();
  for (const places of again) {
    const seen = new Set<Split>();
    for (const { split, index } of places) {
      const indices = dropped.get(split) ?? new Set();
      if (seen.has(split)) indices.add(index);
      dropped.set(split, indices);
      seen.add(split);
    }
  }
  const kept = (split: Split): Split =>
    splitAt(
      split,
      [...split.paths.keys()].filter((index) => !dropped.get(split)?.has(index)),
    );
  const { train, validation, test, gallery } = dataset;
  return {
    ...dataset,
    train: kept(train),
    ...(validation && { validation: kept(validation) }),
    test: kept(test),
    ...(gallery && { gallery: kept(gallery) }),
  };
}

const classOf = ({ split, index }: Place) =>
  Array.from(
    split.labelSets?.[index] ?? [split.labels[index]!],
    (label) => split.classNames[label] ?? '',
  ).join(';');

function rolesOf(dataset: Dataset, groups: readonly Place[][]): string {
  const roles = new Set(groups.flat().map((place) => roleOf(dataset, place)));
  return [...roles].filter((role) => role !== 'training').join(' and ');
}

/** The first group's first place, and the first one that differs from it in what matters. */
function example([places = []]: readonly Place[][], differsIn: (place: Place) => unknown): string {
  const [first, second] = places;
  const other = places.find((place) => first && differsIn(place) !== differsIn(first)) ?? second;
  if (!first || !other) return '';
  const named = (place: Place) => `${pathOf(place)} (${place.split.name}, ${classOf(place)})`;
  return `the first ${named(first)} and ${named(other)}`;
}

const pathOf = ({ split, index }: Place) => split.paths[index] ?? '';
const splitOf = ({ split }: Place) => split;
