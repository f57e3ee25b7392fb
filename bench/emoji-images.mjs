// The emoji's files and labels for the side that is not ours.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../packages/conquer/dist/cache-folder.js';
import { openEmoji } from '../packages/conquer/dist/datasets/emoji.js';

/** @returns {Promise<string>} a JSON file {train: {paths, labels}, test: {paths, labels}} */
export async function emojiImages() {
  const { train, test } = await openEmoji();
  const list = ({ paths, labels }) => ({ paths, labels: [...labels] });
  const folder = join(cacheFolder(), 'bench');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'emoji.json');
  writeFileSync(file, JSON.stringify({ train: list(train), test: list(test) }));
  return file;
}
