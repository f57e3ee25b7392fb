import type { Command } from 'commander';
import { similarGroups } from '../../retrieve/similar-pairs.js';
import { addPhotosFlags, leastSimilarity, type PhotosFlags, photosIndex } from '../photos-index.js';
import { nameOf, type PhotosCommand } from './duplicates.js';

/** Cosine from which on two images are of a group. */
const ALIKE = 0.8;

export function add(program: Command): undefined {
  addPhotosFlags(program.command('group').description('group images by pairs that are alike'), ALIKE)
    .addHelpText('after', '\nExample: conquer group photos --model runs/mine --min-similarity 0.7')
    .action(
      async (photos: string, flags: PhotosFlags) =>
        await runGroup({ photos, ...flags, out: process.stdout, progress: process.stderr }),
    );
}

/** Groups of images, the largest first; those that are like no other are in none. */
export async function runGroup({ photos, out, progress, ...flags }: PhotosCommand): Promise<void> {
  const least = leastSimilarity(flags, ALIKE);
  using index = await photosIndex(photos, flags, progress);
  const groups = similarGroups(index, { minSimilarity: least(index) });
  for (const [number, { images }] of groups.entries())
    out.write(
      flags.json
        ? `${JSON.stringify({ group: number + 1, images })}\n`
        : `group ${number + 1}, ${images.length} images\n${images.map((image) => `  ${nameOf(image)}\n`).join('')}`,
    );
  if (flags.json) return;
  const grouped = groups.reduce((sum, { images }) => sum + images.length, 0);
  out.write(`${groups.length} groups, ${index.imageCount - grouped} images alone\n`);
}
