// A folder of pictures to try things on, a subfolder for each class: emoji, drawn by up to nine sets of icons.
// node examples/dist/emoji-photos.js pictures 30
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openEmoji } from 'conquer-dml';

const [folder = 'pictures', classes = '30'] = process.argv.slice(2);
const { test } = await openEmoji();
for (const [image, path] of test.paths.entries()) {
  const label = test.labels[image]!;
  if (label - Math.min(...test.labels) >= Number(classes)) continue;
  const inside = join(folder, test.classNames[label]!);
  mkdirSync(inside, { recursive: true });
  copyFileSync(path, join(inside, `${path.split('/').at(-2)}.png`)); // named after its set
}
