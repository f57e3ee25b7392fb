import sharp from 'sharp';

/** Versions of the libraries that read what the addon does not: sharp, and libvips under it. */
export function imageLibraries(): { sharp: string; vips: string } {
  return { sharp: sharp.versions.sharp ?? '?', vips: sharp.versions.vips };
}
