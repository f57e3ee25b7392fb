import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { boxOfImage, fileOfImage, imageBoxPath } from './image-box.js';
import {
  decodeImages,
  ImageFiles,
  type ImageRequest,
  imageSize,
  packImages,
  ReducedImages,
  type SetRequest,
} from './index.js';

const [WIDTH, HEIGHT] = [90, 70];
const box = { left: 13, top: 9, width: 50, height: 40 };

let folder: string;
let pixels: Buffer;
/** The same pixels in files, and the box's alone, as a file of its own. */
let alone: string;
beforeAll(async () => {
  folder = temporaryFolder();
  pixels = Buffer.alloc(WIDTH * HEIGHT * 3);
  for (let i = 0; i < pixels.length; i++) pixels[i] = (i * 7 + ((i / 270) | 0) * 31) % 256;
  const image = () => sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
  await image().png().toFile(join(folder, 'whole.png'));
  await image().jpeg({ quality: 95 }).toFile(join(folder, 'whole.jpg'));
  // Stored lying on its side, and turned by its EXIF data.
  const { data, info } = await image().rotate(-90).raw().toBuffer({ resolveWithObject: true });
  await sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
    .withMetadata({ orientation: 6 })
    .png()
    .toFile(join(folder, 'turned.png'));
  alone = join(folder, 'alone.png');
});

const read = async (image: string, request: ImageRequest) => {
  const out = new Uint8Array(request.size.width * request.size.height * 3);
  await decodeImages([{ image, ...request }], out);
  return out;
};

const requests: [string, ImageRequest][] = [
  ['all of it', { size: { width: 24, height: 24 } }],
  ['a crop', { size: { width: 11, height: 10 }, crop: { left: 3, top: 2, width: 20, height: 30 } }],
  ['covered', { size: { width: 16, height: 16 }, fit: 'cover', flip: true }],
  [
    'a part of it resized',
    {
      size: { width: 16, height: 16 },
      whole: { width: 30, height: 24 },
      crop: { left: 7, top: 4, width: 16, height: 16 },
      filter: 'bicubic',
    },
  ],
];

describe('a box of an image', () => {
  it.each(requests)('is what a file of its pixels is: %s', async (_, request) => {
    for (const name of ['whole.png', 'turned.png', 'whole.jpg']) {
      const file = join(folder, name);
      await sharp(await sharp(file).autoOrient().extract(box).png().toBuffer()).toFile(alone);
      const path = imageBoxPath(file, box);
      expect(await imageSize(path)).toEqual({ width: 50, height: 40 });
      // Bilinear, JPEG is resized by the addon and other files by libvips; bicubic, all by the addon.
      const wanted: ImageRequest = name === 'whole.jpg' ? { ...request, filter: 'bicubic' } : request;
      expect(await read(path, wanted)).toEqual(await read(alone, wanted));
    }
  });

  it('is the same reduced and in a pack, each box its own', async () => {
    const file = join(folder, 'whole.png');
    const other = { left: 0, top: 30, width: 60, height: 40 };
    const paths = [imageBoxPath(file, box), imageBoxPath(file, other), file];
    const wanted = paths.map((_, index): SetRequest => ({ index, size: { width: 12, height: 12 } }));
    const of = async (set: { read: ImageFiles['read'] }) => {
      const out = new Uint8Array(3 * 12 * 12 * 3);
      await set.read(wanted, out);
      return out;
    };
    using pack = await packImages(paths, { size: 20, file: join(folder, 'boxes.pack') });
    expect(await pack.sizes([0, 1, 2])).toEqual([
      { width: 25, height: 20 },
      { width: 30, height: 20 },
      { width: 26, height: 20 },
    ]);
    expect(await of(pack)).toEqual(await of(new ReducedImages(paths, { size: 20 })));
    const all = await of(new ImageFiles(paths));
    expect(all.subarray(0, 432)).toEqual(await read(paths[0]!, { size: { width: 12, height: 12 } }));
    expect(all.subarray(0, 432)).not.toEqual(all.subarray(432, 864));
  });

  it('that lies outside is refused by its numbers, and so is a part outside of it', async () => {
    const path = `${join(folder, 'whole.png')}#xywh=80,10,20,20`;
    await expect(imageSize(path)).rejects.toThrow(
      `${path}: the box 20×20 at (80, 10) lies outside of the image, which has 90×70 pixels`,
    );
    const size = { width: 4, height: 4 };
    for (const name of ['whole.png', 'whole.jpg'])
      await expect(read(`${join(folder, name)}#xywh=80,10,20,20`, { size })).rejects.toThrow('lies outside');
    const crop = { left: 40, top: 0, width: 20, height: 10 };
    await expect(read(imageBoxPath(join(folder, 'whole.jpg'), box), { size, crop })).rejects.toThrow(
      'the crop 20×10 at (40, 0) lies outside',
    );
    const errors: string[] = [];
    const out = new Uint8Array(2 * 48);
    await decodeImages(
      [path, join(folder, 'whole.png')].map((image) => ({ image, size })),
      out,
      {
        onBad: (error, place) => errors.push(`${place} ${error.path}`),
      },
    );
    expect(errors).toEqual([`0 ${path}`]);
  });

  it('is written at the end of a path', () => {
    expect(imageBoxPath('a#b.png', box)).toBe('a#b.png#xywh=13,9,50,40');
    expect(boxOfImage('a#b.png#xywh=13,9,50,40')).toEqual(box);
    expect(fileOfImage('a#b.png#xywh=13,9,50,40')).toBe('a#b.png');
    expect([boxOfImage('a.png#xywh=1,2,3'), fileOfImage('a.png#xywh=1,2,3')]).toEqual([
      null,
      'a.png#xywh=1,2,3',
    ]);
    for (const wrong of [
      { ...box, width: 0 },
      { ...box, left: -1 },
      { ...box, top: 1.5 },
    ])
      expect(() => imageBoxPath('a.png', wrong)).toThrow('expected a box of whole pixels');
  });
});
