import { UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import type { ImageOf } from '../../retrieve/match.js';
import { similarPairs } from '../../retrieve/similar-pairs.js';
import { addPhotosFlags, type PhotosFlags, photosIndex } from '../photos-index.js';
import type { Output } from '../terminal.js';

export function add(program: Command): undefined {
  addPhotosFlags(program.command('duplicates').description('find images that are all but the same'), '0.95')
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
  const minSimilarity = similarityOf(flags.minSimilarity);
  using index = await photosIndex(photos, flags, progress);
  const pairs = [...similarPairs(index, { minSimilarity })];
  pairs.sort((a, b) => b.similarity - a.similarity);
  for (const { first, second, similarity } of pairs)
    out.write(
      flags.json
        ? `${JSON.stringify({ first, second, similarity })}\n`
        : `${similarity.toFixed(3)}  ${nameOf(first)}  ${nameOf(second)}\n`,
    );
  if (!flags.json)
    out.write(`${pairs.length} pairs of ${index.imageCount} images are at least ${minSimilarity} alike\n`);
}

/** @throws UserError for what is no cosine */
export function similarityOf(text: string): number {
  const similarity = Number(text);
  if (text.trim() !== '' && similarity >= -1 && similarity <= 1) return similarity;
  throw new UserError(`--min-similarity: expected a number from -1 to 1, got '${text}'`);
}

/** An image in words: a name may hold a line break, or what a terminal obeys. */
export const nameOf = ({ path, id }: ImageOf): string => (path ?? id).replaceAll(/\p{Cc}/gu, '?');
