import { basename, dirname, join } from 'node:path';
import { counted, UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { fileIdentities } from '../data/file-identity.js';
import { countKinds, type ImagePairs } from '../image-pairs.js';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import { refuseBoxesOutside } from './boxes.js';
import { type ClassSplit, classSplitOf, classSplitOptions, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import { csvFile } from './csv-file.js';
import type { Dataset, DatasetContext, Split } from './dataset.js';
import { allowPartialOption, Distribution, type DistributionOptions } from './distribution.js';
import { type ListedPair, readPairs } from './pair-rows.js';
import { isInside } from './path-inside.js';

export interface PairsOptions extends Omit<DistributionOptions, 'folder'> {
  /** The file, or a folder with one `.csv` in it. */
  file: string;
  /** How images are divided where the file has no split column, see `openPairs`; default `halves`. */
  split?: ClassSplit | undefined;
}

/**
 * Pairs of images that a CSV file lists, `first,second,same[,split]`, each said to be the same or different: supervision without
 * classes. Paths are relative to the file's folder. Images that are the same, also by way of others, are a group, which takes the
 * place of a class where one has to be named. Without a split column whole groups train or test, as `split` divides classes; pairs
 * across are left out, with a warning.
 *
 * @throws UserError if it cannot work, with the line: an image that is missing, a pair of one photo, two answers of one pair
 */
export async function openPairs(options: PairsOptions): Promise<Dataset> {
  const file = await csvFile('pairs', options.file);
  const folder = dirname(file);
  const data = new Distribution('pairs', folder, `its paths are relative to ${folder}`, options);
  const listed = await readPairs(file);
  const images = listed.flatMap(({ first, second, line }) =>
    [first, second].map((path) => ({ path: imagePath(path, line, file), line, id: '' })),
  );
  await refuseBoxesOutside(images, file);
  const there = new Set((await data.present(images, file)).map(({ path }) => path));
  const pairs = await distinctPairs(
    listed.flatMap((pair, at) => {
      const [first, second] = [images[2 * at]!.path, images[2 * at + 1]!.path];
      return there.has(first) && there.has(second) ? [{ ...pair, first, second }] : [];
    }),
    file,
    (text) => options.onWarning?.(text),
  );
  const { train, test } = await divided(pairs, file, options);
  refuseShared(train, test, file);
  const dataset: Dataset = {
    name: basename(file, '.csv'),
    folder,
    train: splitOfPairs('train', train, folder),
    test: splitOfPairs('test', test, folder),
    recallAt: usualRecallAt,
  };
  for (const split of [dataset.train, dataset.test]) {
    const { same, different } = countKinds(split.pairs!);
    // A file may be for conquer eval alone; and where all trains, nothing is tested.
    if (split.paths.length === 0 && (split === dataset.train || options.split?.kind === 'all')) continue;
    if (same === 0 || different === 0)
      throw new UserError(
        `${file}: expected pairs of both kinds for ${split.name}, found ${same} same and ${different} different`,
      );
  }
  return dataset;
}

function imagePath(path: string, line: number, file: string): string {
  if (isInside(path)) return join(dirname(file), path);
  throw new UserError(
    `${file}, line ${line}: expected a path inside ${dirname(file)}, ${JSON.stringify(path)} leads outside`,
  );
}

/** Each pair once. One file under several names is one image, by the name that comes first. */
async function distinctPairs(
  listed: readonly ListedPair[],
  file: string,
  warn: (text: string) => void,
): Promise<ListedPair[]> {
  const paths = [...new Set(listed.flatMap(({ first, second }) => [first, second]))];
  const { files } = await fileIdentities(paths);
  const names: string[] = [];
  const nameOf = new Map<string, string>();
  for (const [at, path] of paths.entries()) {
    const file = files[at]!;
    if (file >= 0) names[file] ??= path;
    nameOf.set(path, names[file] ?? path);
  }
  const known = new Map<string, ListedPair>();
  let again = 0;
  for (const pair of listed) {
    const { line, same, split } = pair;
    const [first, second] = [nameOf.get(pair.first)!, nameOf.get(pair.second)!];
    if (first === second)
      throw new UserError(`${file}, line ${line}: expected two photos, got ${first} twice`);
    const key = [first, second].sort(byCodePoint).join('\0');
    const before = known.get(key);
    if (before === undefined) {
      known.set(key, { ...pair, first, second });
      continue;
    }
    const where = `${file}, line ${line}: ${first} and ${second}`;
    if (before.same !== same)
      throw new UserError(
        `${where} are ${same ? 'the same' : 'different'}, and ${before.same ? 'the same' : 'different'} in line ${before.line}: expected one answer for a pair`,
      );
    if (before.split !== split)
      throw new UserError(`${where} are of ${split}, and of ${before.split} in line ${before.line}`);
    again++;
  }
  if (again > 0) warn(`${file}: ${counted(again, 'pair is', 'pairs are')} listed again: each counts once`);
  return [...known.values()];
}

/** Which pairs train and which test. */
async function divided(
  pairs: readonly ListedPair[],
  file: string,
  { split = { kind: 'halves' }, onWarning }: PairsOptions,
): Promise<{ train: readonly ListedPair[]; test: readonly ListedPair[] }> {
  if (split.kind === 'all') return { train: pairs, test: [] };
  if (pairs.some((pair) => pair.split !== null)) {
    if (split.kind !== 'halves')
      throw new UserError(
        `${file}: it has a split column, train and test, which another way to divide the images contradicts; leave one of them out`,
      );
    return {
      train: pairs.filter((pair) => pair.split === 'train'),
      test: pairs.filter((pair) => pair.split === 'test'),
    };
  }
  if (split.kind === 'list')
    throw new UserError(
      `${file}: pairs have no classes that a list could name: add a column split of train and test, or divide by half or random`,
    );
  const groups = groupsOf(pairs);
  const named = [...new Set(groups.values())].sort(byCodePoint).map((name) => ({ name, paths: [] }));
  const trains = new Set((await splitClasses(named, file, split)).train.map(({ name }) => name));
  const inTrain = (path: string) => trains.has(groups.get(path)!);
  const train = pairs.filter(({ first, second }) => inTrain(first) && inTrain(second));
  const test = pairs.filter(({ first, second }) => !inTrain(first) && !inTrain(second));
  const across = pairs.length - train.length - test.length;
  if (across > 0)
    onWarning?.(
      `${file}: ${across} of ${counted(pairs.length, 'pair')} are of an image that trains and one that tests, and are left out: a column split keeps all`,
    );
  return { train, test };
}

/** For each image the first one of those that are the same, by way of whatever others. */
function groupsOf(pairs: readonly Pick<ListedPair, 'first' | 'second' | 'same'>[]): Map<string, string> {
  const above = new Map<string, string>();
  const top = (path: string): string => {
    let found = path;
    for (let next = above.get(found); next !== undefined; next = above.get(found)) found = next;
    // The way is short the next time.
    for (let step = path; step !== found; ) {
      const next = above.get(step)!;
      above.set(step, found);
      step = next;
    }
    return found;
  };
  for (const { first, second, same } of pairs) {
    const [a, b] = [top(first), top(second)];
    if (!same || a === b) continue;
    if (byCodePoint(a, b) < 0) above.set(b, a);
    else above.set(a, b);
  }
  return new Map(pairs.flatMap(({ first, second }) => [first, second]).map((path) => [path, top(path)]));
}

function refuseShared(train: readonly ListedPair[], test: readonly ListedPair[], file: string): void {
  const trained = new Map(train.flatMap(({ first, second, line }) => [first, second].map((p) => [p, line])));
  for (const { first, second, line } of test)
    for (const path of [first, second])
      if (trained.has(path))
        throw new UserError(
          `${file}: ${path} is in train, line ${trained.get(path)}, and in test, line ${line}; pairs are tested on images that were not trained on`,
        );
}

/** The images of pairs in the order in which they first occur; their groups have the name of an image of theirs. */
export function splitOfPairs(
  name: string,
  pairs: readonly Pick<ListedPair, 'first' | 'second' | 'same'>[],
  folder: string,
): Split & { pairs: ImagePairs } {
  const groups = groupsOf(pairs);
  const paths = [...groups.keys()];
  const places = new Map(paths.map((path, place) => [path, place]));
  const classes = [...new Set(groups.values())];
  const labels = new Map(classes.map((path, label) => [path, label]));
  const place = (path: string) => places.get(path)!;
  return {
    name,
    paths,
    labels: Int32Array.from(paths, (path) => labels.get(groups.get(path)!)!),
    classNames: classes.map((path) => (path.startsWith(folder) ? path.slice(folder.length + 1) : path)),
    pairs: {
      first: Int32Array.from(pairs, ({ first }) => place(first)),
      second: Int32Array.from(pairs, ({ second }) => place(second)),
      same: Uint8Array.from(pairs, ({ same }) => Number(same)),
    },
  };
}

export const pairs = {
  ...part({
    name: 'pairs',
    help: "pairs of one's own images, same or different, that a CSV file lists: first,second,same",
    options: z.strictObject({
      file: z.string().min(1).describe('the CSV file, or a folder with one in it'),
      ...classSplitOptions,
      ...allowPartialOption,
    }),
    build: ({ file, allowPartial, ...split }, context: DatasetContext) =>
      openPairs({ file, allowPartial, split: classSplitOf(split, context), onWarning: context.onWarning }),
  }),
  ofPairs: true,
};
