import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openEmoji } from '../datasets/emoji.js';

/** Real data in the layout of a folder of one's own: some emoji, a subfolder each, of up to nine drawings. */
export async function writeEmojiPhotos(folder: string, classes: number): Promise<void> {
  const { train } = await openEmoji();
  for (const [image, path] of train.paths.entries()) {
    const label = train.labels[image] ?? 0;
    if (label >= classes) continue;
    const inside = join(folder, train.classNames[label] ?? '');
    mkdirSync(inside, { recursive: true });
    copyFileSync(path, join(inside, `${image}-${basename(path)}`));
  }
}
