// JPEGs that look like photographs, made once: emoji over gradients and noise of several scales.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from '../packages/conquer/dist/cache-folder.js';
import { Random } from '../packages/conquer/dist/random.js';

const sharp = createRequire(new URL('../packages/image/package.json', import.meta.url))('sharp');
const icons = createRequire(new URL('../packages/emoji/package.json', import.meta.url))(
  '@iconify-json/noto/icons.json',
);

/** @returns {Promise<string>} a folder of `count` JPEGs of this size and quality 90, named 0.jpg, 1.jpg, … */
export async function photoFolder(count, width = 500, height = 375) {
  const folder = join(cacheFolder(), 'bench', `photos-${count}-${width}x${height}`);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}.part`;
  mkdirSync(temporary, { recursive: true });
  const random = new Random(7);
  const names = Object.keys(icons.icons);
  const pool = Array.from({ length: 40 }, () => names[random.int(names.length)]);
  for (let index = 0; index < count; index++) {
    const emoji = pool[random.int(pool.length)];
    await photo(random, emoji, width, height).toFile(join(temporary, `${index}.jpg`));
  }
  // Another process may have made it meanwhile.
  if (existsSync(folder)) rmSync(temporary, { recursive: true });
  else renameSync(temporary, folder);
  return folder;
}

function photo(random, emoji, width, height) {
  const hue = () => random.int(360);
  const icon = icons.icons[emoji];
  const { width: w = icons.width ?? 16, height: h = icons.height ?? 16 } = icon;
  const drawing = () => {
    const side = 80 + random.int(200);
    const [x, y] = [random.int(width), random.int(height)].map((at) => at - side / 2);
    return `<svg x="${x}" y="${y}" width="${side}" height="${side}" viewBox="0 0 ${w} ${h}">${icon.body}</svg>`;
  };
  const noise = (frequency, opacity) =>
    `<filter id="n${frequency * 1000}"><feTurbulence type="fractalNoise" baseFrequency="${frequency}" numOctaves="4" seed="${random.int(10_000)}"/></filter>` +
    `<rect width="100%" height="100%" filter="url(#n${frequency * 1000})" opacity="${opacity}"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}">
    <linearGradient id="g" x2="1" y2="1"><stop stop-color="hsl(${hue()},50%,40%)"/><stop offset="1" stop-color="hsl(${hue()},60%,75%)"/></linearGradient>
    <rect width="100%" height="100%" fill="url(#g)"/>${noise(0.02, 0.6)}${drawing()}${drawing()}${noise(0.4, 0.4)}</svg>`;
  return sharp(Buffer.from(svg)).flatten({ background: '#888' }).jpeg({ quality: 90 });
}
