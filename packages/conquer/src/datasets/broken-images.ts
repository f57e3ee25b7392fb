import { decodeImages, ImageError } from '@conquer/image';
import { UserError } from '../error.js';
import type { Dataset, Split } from './dataset.js';

/** Share of a data set's images that may be broken. */
const LIMIT = 0.05;
/** Images checked at once. */
const BLOCK = 256;
const SIDE = 8;

export interface BrokenImagesOptions {
  /** Told of each broken image, in a line that names it and the reason. */
  onBroken: (message: string) => void;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/**
 * The data set without the images that cannot be read: every file is decoded once. A batch gets another image of the
 * class in such a one's place, and evaluation does without it.
 *
 * @throws UserError where more than 5 % are broken
 */
export async function withoutBrokenImages(dataset: Dataset, options: BrokenImagesOptions): Promise<Dataset> {
  const { train, validation, test, gallery, testSets } = dataset;
  const splits = [train, validation, test, gallery, ...(testSets ?? [])].filter(
    (split) => split !== undefined,
  );
  const paths = [...new Set(splits.flatMap((split) => split.paths))];
  const broken = await findBroken(paths, options);
  if (broken.size === 0) return dataset;
  const kept = (split: Split) => without(split, broken);
  const known = new Map(splits.map((split) => [split, kept(split)]));
  const of = (split: Split) => known.get(split) ?? split;
  return {
    ...dataset,
    train: of(train),
    test: of(test),
    ...(validation && { validation: of(validation) }),
    ...(gallery && { gallery: of(gallery) }),
    ...(testSets && { testSets: testSets.map(of) }),
  };
}

async function findBroken(
  paths: readonly string[],
  { onBroken, onProgress }: BrokenImagesOptions,
): Promise<Set<string>> {
  const broken = new Set<string>();
  for (let start = 0; start < paths.length; start += BLOCK) {
    let block = paths.slice(start, start + BLOCK);
    while (block.length > 0) {
      const requests = block.map((path) => ({
        path,
        size: { width: SIDE, height: SIDE },
        fit: 'cover' as const,
      }));
      try {
        await decodeImages(requests, new Uint8Array(block.length * SIDE * SIDE * 3));
        break;
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
        const { path, message } = error;
        if (!block.includes(path)) throw error;
        broken.add(path);
        onBroken(message);
        block = block.filter((other) => other !== path);
        if (broken.size > LIMIT * paths.length) {
          throw new UserError(
            `more than ${100 * LIMIT} % of the ${paths.length} images are broken, the last one: ${message}; restore them, or take them out of the data set`,
          );
        }
      }
    }
    onProgress?.({ done: Math.min(start + BLOCK, paths.length), total: paths.length });
  }
  return broken;
}

function without({ name, paths, labels, classNames }: Split, broken: ReadonlySet<string>): Split {
  const kept = Array.from(paths.keys()).filter((i) => !broken.has(paths[i]!));
  return {
    name,
    paths: kept.map((i) => paths[i]!),
    labels: Int32Array.from(kept, (i) => labels[i]!),
    classNames,
  };
}
