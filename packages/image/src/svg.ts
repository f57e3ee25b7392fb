import { randomUUID } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import type SharpModule from 'sharp';
import { type DecodeOptions, forEachBounded } from './bounded.js';
import { ImageError } from './error.js';

/** An SVG document and the file its picture goes to; the folder must exist. */
export interface Drawing {
  svg: string;
  path: string;
}

export interface RenderOptions extends DecodeOptions {
  /** Side of the pictures in pixels. */
  size: number;
  /** Called after each file, with how many are done. */
  onRendered?: ((done: number) => void) | undefined;
}

/**
 * Draws SVG documents into square PNG files over white. A drawing keeps its ratio and is centred. Each file
 * is written under a temporary name and renamed, so that whatever stands under a final name is whole.
 * @throws ImageError naming the first drawing that is not valid; the reason of `options.signal` after it was
 *   aborted
 */
export async function renderSvgs(drawings: readonly Drawing[], options: RenderOptions): Promise<void> {
  const { sharp } = await import('./sharp.js');
  let done = 0;
  await forEachBounded(drawings, { concurrency: 8, ...options }, async ({ svg, path }) => {
    const png = await draw(sharp, svg, options.size).catch((error: Error) => {
      throw new ImageError(path, `its SVG cannot be drawn: ${error.message.split('\n')[0]}`, {
        cause: error,
      });
    });
    const temporary = `${path}.${randomUUID().slice(0, 8)}.part`;
    try {
      await writeFile(temporary, png);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    options.onRendered?.(++done);
  });
}

/**
 * The bytes of a PNG file, 8-bit RGB, of an SVG document drawn into a square over white. A drawing keeps its
 * ratio and is centred.
 * @param size side in pixels
 * @throws sharp's Error where the document is not valid
 */
export async function renderSvg(svg: string, size: number): Promise<Uint8Array> {
  const { sharp } = await import('./sharp.js');
  return await draw(sharp, svg, size);
}

async function draw(sharp: typeof SharpModule, svg: string, size: number): Promise<Uint8Array> {
  return await sharp(Buffer.from(svg))
    .resize({ width: size, height: size, fit: 'contain', background: '#ffffff' })
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .png({ compressionLevel: 3 })
    .toBuffer();
}
