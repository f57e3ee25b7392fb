import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Drawing, renderSvgs } from '@conquer-dml/image';
import { z } from 'zod';
import { cacheError, cacheFolder } from '../cache-folder.js';
import { part } from '../part.js';
import { Random } from '../random.js';
import { usualRecallAt } from '../recall-at.js';
import { type Dataset, type DatasetContext, type ImageClass, splitOfClasses } from './dataset.js';
import {
  type EmojiName,
  emojiSets,
  emojiVersions,
  hasSkinTone,
  iconSvg,
  readIconSets,
  sharedEmoji,
} from './emoji-icons.js';

export interface EmojiOptions {
  /** Include the skin-tone variants: the harder data set `emoji-tones`. Default false. */
  tones?: boolean | undefined;
  /** Where the pictures are kept; default `emoji` in the cache folder. */
  folder?: string | undefined;
  /**
   * Called while the pictures are drawn, which happens once; not called when all are there. Counts pictures.
   */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Ends the drawing early. What is drawn stays, and the next call continues from there. */
  signal?: AbortSignal | undefined;
}

/** Side of the rendered pictures in pixels. */
export const emojiSize = 72;

const splitSeed = 20190616;

/**
 * The embedded data set: emoji as nine open icon sets draw them. A class is one emoji, its images are the
 * renderings, 72×72 pixels over white. `emoji` leaves the skin-tone variants out (1,706 classes, 11,672
 * images); `emoji-tones` holds them too (3,654 and 18,831). The classes are shuffled by a fixed seed and
 * halved into training and test, so that both halves hold flags, faces and food alike.
 *
 * The pictures are drawn on first use and kept; a drawing that was interrupted continues where it stopped.
 *
 * Licences of the sets (npm packages `@iconify-json/…`): noto, noto-v1 (Google) and fxemoji (Mozilla) Apache
 * 2.0; fluent-emoji-flat and fluent-emoji-high-contrast (Microsoft) MIT; twemoji (Twitter) and emojione CC BY
 * 4.0; openmoji and emojione-v1 CC BY-SA 4.0.
 * @throws UserError if the package of the sets, @conquer-dml/emoji, is not installed, or the pictures cannot be kept
 * @throws the reason of `signal` after it was aborted
 */
export async function openEmoji(options: EmojiOptions = {}): Promise<Dataset> {
  const { tones = false } = options;
  const versions = await emojiVersions();
  // Another version of a set draws other pictures, so that it gets another folder.
  const key = createHash('sha256').update(versions.join('\n')).digest('hex').slice(0, 8);
  const kept = options.folder ?? join(cacheFolder(), 'emoji');
  const folder = join(kept, `${emojiSize}px-${key}`);
  const names = await readNames(folder);
  const chosen = tones ? names : names.filter(([name]) => !hasSkinTone(name));
  try {
    await drawMissing(chosen, folder, options);
  } catch (error) {
    throw cacheError('the emoji pictures', folder, error);
  }

  const classes = new Random(splitSeed).shuffle(
    chosen.map(
      ([name, sets]): ImageClass => ({ name, paths: sets.map((set) => picture(folder, set, name)) }),
    ),
  );
  const half = Math.ceil(classes.length / 2);
  const byName = (a: ImageClass, b: ImageClass) => (a.name < b.name ? -1 : 1);
  return {
    name: tones ? 'emoji-tones' : 'emoji',
    folder: resolve(kept), // the pictures' version is in the paths that are relative to it
    train: splitOfClasses('train', classes.slice(0, half).sort(byName)),
    test: splitOfClasses('test', classes.slice(half).sort(byName)),
    recallAt: usualRecallAt,
  };
}

/** Draws the pictures that are not there yet. One folder a set, so that nine listings tell what is missing. */
export async function drawMissing(
  names: readonly EmojiName[],
  folder: string,
  { onProgress, signal }: Pick<EmojiOptions, 'onProgress' | 'signal'> = {},
): Promise<void> {
  const present = new Set<string>();
  for (const set of emojiSets) {
    await mkdir(join(folder, set), { recursive: true });
    for (const file of await readdir(join(folder, set))) present.add(join(folder, set, file));
  }
  const missing = names.flatMap(([name, sets]) =>
    sets.filter((set) => !present.has(picture(folder, set, name))).map((set) => ({ name, set })),
  );
  if (missing.length === 0) return;

  const iconSets = await readIconSets();
  const drawings = missing.map(({ name, set }): Drawing => {
    const icons = iconSets.get(set);
    if (!icons) throw new RangeError(`drawMissing: unknown icon set ${set}`);
    return { svg: iconSvg(icons, name, emojiSize), path: picture(folder, set, name) };
  });
  const total = names.reduce((sum, [, sets]) => sum + sets.length, 0);
  const before = total - missing.length;
  onProgress?.({ done: before, total });
  await renderSvgs(drawings, {
    size: emojiSize,
    signal,
    onRendered: (done) => onProgress?.({ done: before + done, total }),
  });
}

/** The names of the shared emoji; kept beside the pictures because reading the sets takes a second. */
async function readNames(folder: string): Promise<EmojiName[]> {
  const file = join(folder, 'names.json');
  try {
    return JSON.parse(await readFile(file, 'utf8')) as EmojiName[];
  } catch {
    const names = sharedEmoji(await readIconSets());
    const temporary = `${file}.${process.pid}.part`;
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(temporary, JSON.stringify(names));
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw cacheError('the emoji pictures', folder, error);
    }
    return names;
  }
}

function picture(folder: string, set: string, name: string): string {
  return join(folder, set, `${name}.png`);
}

export const emoji = part({
  name: 'emoji',
  help: 'emoji as nine icon sets draw them; comes with the program',
  options: z.strictObject({}),
  build: (_, { onProgress }: DatasetContext) => openEmoji({ onProgress }),
});

export const emojiTones = part({
  name: 'emoji-tones',
  help: 'emoji with their skin tones, which are harder to tell apart',
  options: z.strictObject({}),
  build: (_, { onProgress }: DatasetContext) => openEmoji({ tones: true, onProgress }),
});
