import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Disc {
  /** Of the picture, in pixels. */
  width?: number;
  height?: number;
  x: number;
  y: number;
  r: number;
  /** A colour of CSS. */
  fill: string;
}

/** A picture, as SVG: a disc on a ground without colour. */
export function discSvg({ width = 32, height = 32, x, y, r, fill }: Disc): string {
  const disc = `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${disc}</svg>`;
}

/** `folder`/images/class-00 and so on: sixteen classes, discs of as many colours, of different size and place. */
export function writeDiscs(folder: string, perClass = 8): void {
  for (let label = 0; label < 16; label++) {
    const images = join(folder, 'images', `class-${String(label).padStart(2, '0')}`);
    mkdirSync(images, { recursive: true });
    for (let image = 0; image < perClass; image++) {
      const fill = `hsl(${label * 22},90%,${40 + (image % 20)}%)`;
      const svg = discSvg({ x: 10 + (image % 8), y: 20 - (image % 8), r: 5 + (image % 9), fill });
      writeFileSync(join(images, `${image}.svg`), svg);
    }
  }
}
