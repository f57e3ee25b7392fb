import { isAbsolute, relative, sep } from 'node:path';
import { counted, type ImageList, RunFolder, UserError } from '@conquer-dml/run';
import { readTestedImages, type TestedImages } from '../data/tested-images.js';
import { type McNemar, mcnemar } from '../evaluate/mcnemar.js';
import { standardErrorOverClasses, twoSidedT } from '../evaluate/standard-error.js';

/** Recall@1 of a run's best epoch, a fraction. */
export interface ComparedRun {
  run: string;
  /** Of embeddings.safetensors, counted from 0. */
  epoch: number;
  recallAt1: number;
  /** Over classes, see `standardErrorOverClasses`; null of one class. */
  standardError: number | null;
}

/** Two runs on the same queries. */
export interface RunComparison {
  queries: number;
  classes: number;
  first: ComparedRun;
  second: ComparedRun;
  /** Recall@1 of the second less that of the first. */
  difference: number;
  /** Of the difference, over classes, paired: from the differences of each class. Null of one class. */
  standardError: number | null;
  /** Of difference / standardError by Student's t of one degree of freedom less than classes, two-sided; null where there is no error to divide by. */
  pValue: number | null;
  mcnemar: McNemar;
}

/**
 * Compares Recall@1 of two runs query by query, as their best epochs left it in embeddings.safetensors: no network is needed.
 * Queries are the same where their files are, wherever the data sets lie, and they are searched in the same gallery.
 *
 * @throws UserError for a run without test embeddings, or runs of other queries, classes or galleries
 */
export async function compareRuns(first: string, second: string): Promise<RunComparison> {
  const [a, b] = [await resultsOf(first), await resultsOf(second)];
  refuseOthers('queries', a, b, a.queries, b.queries);
  if ((a.gallery === null) !== (b.gallery === null))
    throw new UserError(
      `${a.gallery ? first : second} was tested with a gallery and ${a.gallery ? second : first} without: their numbers are of two tasks`,
    );
  if (a.gallery && b.gallery) refuseOthers('gallery images', a, b, a.gallery, b.gallery);
  const names = [...a.queries.keys()];
  const hits = ({ queries }: Results) => names.map((name) => queries.get(name)!.hit);
  const numbers = new Map<string, number>();
  const labels = names.map((name) => {
    const { className } = a.queries.get(name)!;
    numbers.set(className, numbers.get(className) ?? numbers.size);
    return numbers.get(className)!;
  });
  const [ofFirst, ofSecond] = [hits(a), hits(b)];
  const gains = ofSecond.map((hit, query) => hit - ofFirst[query]!);
  const difference = mean(gains);
  const standardError = standardErrorOverClasses(gains, labels);
  const told = ({ run, epoch }: Results, found: number[]): ComparedRun => ({
    ...{ run, epoch, recallAt1: mean(found) },
    standardError: standardErrorOverClasses(found, labels),
  });
  return {
    queries: names.length,
    classes: numbers.size,
    first: told(a, ofFirst),
    second: told(b, ofSecond),
    difference,
    standardError,
    pValue: standardError ? twoSidedT(difference / standardError, numbers.size - 1) : null,
    mcnemar: mcnemar(ofFirst, ofSecond),
  };
}

interface Image {
  className: string;
  /** 1 where the nearest is of its class; of what is searched only, 0. */
  hit: number;
}

interface Results {
  run: string;
  epoch: number;
  /** By file, relative to where the data set lay. */
  queries: Map<string, Image>;
  gallery: Map<string, Image> | null;
}

async function resultsOf(path: string): Promise<Results> {
  const run = RunFolder.open(path);
  if (run.dataset()?.splits.test?.pairs)
    throw new UserError(
      `${path} was tested on pairs, of which no Recall@1 is known: conquer eval says how well it tells them apart`,
    );
  const tested: TestedImages = await readTestedImages(run);
  const folder = run.dataset()?.folder;
  const { queries, gallery, neighbours, depth } = tested;
  const searched = gallery ?? queries;
  const nameOf = (file: string) => {
    const short = typeof folder === 'string' ? relative(folder, file) : file;
    return isAbsolute(short) ? file : short.split(sep).join('/');
  };
  const imagesOf = (list: ImageList, hit: (row: number) => number) => {
    const { paths, classNames } = list;
    const images = new Map<string, Image>();
    for (const [row, file] of paths.entries()) {
      const name = nameOf(file);
      if (images.has(name))
        throw new UserError(`${path} was tested on ${name} twice: its queries cannot be told apart`);
      images.set(name, {
        className: labelsOf(list, row)
          .map((label) => classNames[label] ?? String(label))
          .join(';'),
        hit: hit(row),
      });
    }
    return images;
  };
  const isHit = (row: number) =>
    depth > 0 &&
    labelsOf(searched, neighbours[row * depth]!).some((label) => labelsOf(queries, row).includes(label))
      ? 1
      : 0;
  return {
    run: path,
    epoch: tested.epoch,
    queries: imagesOf(queries, isHit),
    gallery: gallery && imagesOf(gallery, () => 0),
  };
}

const labelsOf = ({ labels, labelSets }: ImageList, row: number) => labelSets?.[row] ?? [labels[row]!];

/** @throws UserError where the images are not the same, or not of the same classes */
function refuseOthers(
  what: string,
  a: Results,
  b: Results,
  first: Map<string, Image>,
  second: Map<string, Image>,
): void {
  const only = (some: Map<string, Image>, others: Map<string, Image>) =>
    [...some.keys()].filter((name) => !others.has(name));
  const [inFirst, inSecond] = [only(first, second), only(second, first)];
  if (inFirst.length + inSecond.length > 0) {
    const example = (run: string, names: string[]) =>
      names.length === 0 ? [] : [`${counted(names.length, 'is', 'are')} in ${run} only, such as ${names[0]}`];
    throw new UserError(
      `${a.run} and ${b.run} were tested on other ${what}: expected the same files in both, ${[...example(a.run, inFirst), ...example(b.run, inSecond)].join('; ')}`,
    );
  }
  const other = [...first].find(([name, { className }]) => second.get(name)?.className !== className);
  if (other)
    throw new UserError(
      `${a.run} and ${b.run} were tested on other classes: ${other[0]} is of ${JSON.stringify(other[1].className)} in the one and of ${JSON.stringify(second.get(other[0])?.className)} in the other`,
    );
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
