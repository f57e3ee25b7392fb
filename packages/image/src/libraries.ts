import { native } from './binding.js';

/**
 * Versions of the libraries that read what the addon does not: sharp, and libvips under it. All of them are loaded then,
 * and the addon.
 *
 * @throws Error where one cannot be loaded
 */
export async function imageLibraries(): Promise<{ sharp: string; vips: string }> {
  native.checksum(new Uint8Array(0));
  const { sharp } = await import('./sharp.js');
  return { sharp: sharp.versions.sharp ?? '?', vips: sharp.versions.vips };
}
