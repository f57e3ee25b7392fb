import type { BackbonePart } from '../backbones/backbone.js';
import { backbones } from '../backbones/backbones.js';
import type { Published } from './published.js';

/** What others write in front of a name of timm's. */
const PREFIX = /^(hf[-_]hub:)?timm\/|^hf[-_]hub:/;

/**
 * The full name of published weights: `timm/` is taken off, and an architecture's name without a tag is what timm means by it.
 * Anything else stays as it is.
 */
export function publicName(text: string, parts: readonly BackbonePart[] = backbones): string {
  const names = parts.flatMap(({ name, names = [name] }) => names);
  if (names.includes(text)) return text;
  const bare = text.replace(PREFIX, '');
  const byDefault = names.find((name) => name.startsWith(`${bare}.`));
  // resnet50 alone is torchvision's, timm/resnet50 is not.
  return byDefault ?? (names.includes(bare) ? bare : text);
}

/**
 * What is known of the weights of this full name: where they lie, under which licence, and what they are made for.
 *
 * @returns null for a backbone that is no member of a family
 */
export function publishedAs(name: string, parts: readonly BackbonePart[] = backbones): Published | null {
  return parts.flatMap(({ published = [] }) => published).find((each) => each.name === name) ?? null;
}

/** What published weights are called: each full name, and each architecture that has a tag. */
export function publicNames(parts: readonly BackbonePart[] = backbones): string[] {
  const names = parts.flatMap(({ published = [] }) => published.map(({ name }) => name));
  return [
    ...new Set([
      ...names,
      ...names.filter((name) => !name.includes('/')).map((name) => name.replace(/\..*$/, '')),
    ]),
  ];
}
