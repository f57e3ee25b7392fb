import type { Command } from 'commander';
import type { ImageOf } from '../../retrieve/match.js';
import { similarPairs } from '../../retrieve/similar-pairs.js';
import { addPhotosFlags, leastSimilarity, type PhotosFlags, photosIndex } from '../photos-index.js';
import type { Output } from '../terminal.js';

/** Cosine from which on two images are all but the same. */
const ALIKE = 0.95;

export function add(program: Command): undefined {
  addPhotosFlags(program.command('duplicates').description('find images that are all but the same'), ALIKE)
    .addHelpText('after', '\nExample: conquer duplicates photos --min-similarity 0.9')
    .action(
      async (photos: string, flags: PhotosFlags) =>
        await runDuplicates({ photos, ...flags, out: process.stdout, progress: process.stderr }),
    );
}

export interface PhotosCommand extends PhotosFlags {
  photos: string;
  out: Output;
  /** Takes progress and warnings. */
  progress: Output;
}

/** Pairs of images that are alike, the most alike first. */
export async function runDuplicates({ photos, out, progress, ...flags }: PhotosCommand): Promise<void> {
  const least = leastSimilarity(flags, ALIKE);
  using index = await photosIndex(photos, flags, progress);
  const minSimilarity = least(index);
  const pairs = [...similarPairs(index, { minSimilarity })];
  pairs.sort((a, b) => b.similarity - a.similarity);
  for (const { first, second, similarity } of pairs)
    out.write(
      flags.json
        ? `${JSON.stringify({ first, second, similarity })}\n`
        : `${similarity.toFixed(3)}  ${nameOf(first)}  ${nameOf(second)}\n`,
    );
  if (!flags.json)
    out.write(
      `${pairs.length} pairs of ${index.imageCount} images are at least ${Number(minSimilarity.toFixed(4))} alike\n`,
    );
}

/** An image in words: a name may hold a line break, or what a terminal obeys. */
export const nameOf = ({ path, id }: ImageOf): string => (path ?? id).replaceAll(/\p{Cc}/gu, '?');
