import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';

/** The package that brings the icon sets. Their 79 MB are not conquer's own: whoever trains on photographs needs none of them. */
const iconsPackage = '@conquer-dml/emoji';

/** The icon sets that draw emoji, as packages `@iconify-json/…`. Their order is part of the data set. */
export const emojiSets = [
  'noto',
  'noto-v1',
  'openmoji',
  'twemoji',
  'fluent-emoji-flat',
  'fluent-emoji-high-contrast',
  'emojione',
  'emojione-v1',
  'fxemoji',
] as const;

export type EmojiSet = (typeof emojiSets)[number];

/** An emoji and the sets that draw it. */
export type EmojiName = [name: string, sets: EmojiSet[]];

interface Icon {
  body: string;
  left?: number;
  top?: number;
  width?: number;
  height?: number;
}

/** The part of Iconify's JSON format that is used here. Sizes an icon leaves out are the set's, by default 16. */
export interface IconSet extends Omit<Icon, 'body'> {
  icons: Record<string, Icon>;
}

/** An emoji is kept when at least this many sets draw it under one name. */
const fewestSets = 3;

const skinTone = /skin-tone|-(light|medium-light|medium|medium-dark|dark)$/;

/** Whether the name is a skin-tone variant: it holds `skin-tone`, or ends in a tone. */
export function hasSkinTone(name: string): boolean {
  return skinTone.test(name);
}

/** The versions of the installed sets, e.g. `noto 1.2.9`: what the pictures depend on. */
export async function emojiVersions(): Promise<string[]> {
  return await Promise.all(
    emojiSets.map(async (set) => {
      const { version } = JSON.parse(await readPackageFile(set, 'package.json')) as { version: string };
      return `${set} ${version}`;
    }),
  );
}

/** All nine sets; about 80 MB of JSON. */
export async function readIconSets(): Promise<Map<EmojiSet, IconSet>> {
  const sets = new Map<EmojiSet, IconSet>();
  for (const set of emojiSets) sets.set(set, JSON.parse(await readPackageFile(set, 'icons.json')) as IconSet);
  return sets;
}

/** The emoji that at least three sets draw (aliases do not count), sorted by name. */
export function sharedEmoji(sets: ReadonlyMap<EmojiSet, IconSet>): EmojiName[] {
  const setsOf = new Map<string, EmojiSet[]>();
  for (const [set, { icons }] of sets) {
    for (const name of Object.keys(icons)) {
      const present = setsOf.get(name);
      if (present) present.push(set);
      else setsOf.set(name, [set]);
    }
  }
  return [...setsOf]
    .filter(([, drawnBy]) => drawnBy.length >= fewestSets)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** An icon as an SVG document of its own, `size` pixels wide and high; another ratio is centred. */
export function iconSvg(set: IconSet, name: string, size: number): string {
  const icon = set.icons[name];
  if (!icon) throw new RangeError(`iconSvg: the set holds no icon named ${name}`);
  const {
    left = set.left ?? 0,
    top = set.top ?? 0,
    width = set.width ?? 16,
    height = set.height ?? 16,
  } = icon;
  const namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  const viewBox = `${left} ${top} ${width} ${height}`;
  return `<svg ${namespaces} width="${size}" height="${size}" viewBox="${viewBox}">${icon.body}</svg>`;
}

/**
 * Where the icons' package is: beside conquer, or in the project that the program is run in, as conquer may be installed globally.
 * @param places files or URLs to look from
 * @returns what resolves the icon sets' files
 * @throws UserError if it is not installed
 */
export function findIcons(
  places: readonly (string | URL)[] = [import.meta.url, join(process.cwd(), 'package.json')],
): NodeJS.RequireResolve {
  for (const place of places) {
    try {
      const found = createRequire(place).resolve(`${iconsPackage}/package.json`);
      return createRequire(found).resolve;
    } catch {
      // Not from there.
    }
  }
  throw new UserError(
    `emoji: the icons are a package of their own, which is not installed here; run npm install ${iconsPackage}`,
  );
}

async function readPackageFile(set: EmojiSet, file: string): Promise<string> {
  const resolve = findIcons();
  try {
    return await readFile(resolve(`@iconify-json/${set}/${file}`), 'utf8');
  } catch (error) {
    throw new UserError(
      `emoji: expected ${iconsPackage} to bring the icon set @iconify-json/${set}, but its ${file} cannot be read; install it again with npm install ${iconsPackage}`,
      { cause: error },
    );
  }
}
