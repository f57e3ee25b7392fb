import sharp from 'sharp';

/**
 * Draws an SVG document into a square over white, as the bytes of a PNG file (8-bit RGB). The drawing keeps
 * its ratio and is centred.
 * @param size side in pixels
 */
export async function renderSvg(svg: string, size: number): Promise<Uint8Array> {
  return await sharp(Buffer.from(svg))
    .resize({ width: size, height: size, fit: 'contain', background: '#ffffff' })
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .png({ compressionLevel: 3 })
    .toBuffer();
}
