import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { ImageError } from './error.js';
import { decodeImages, ImageFiles, type ImageRequest } from './index.js';

describeWithPython('bicubic resizing', ['PIL', 'numpy'], () => {
  /** The image, the size of the whole, the part of it, the filter. */
  type Case = [
    file: string,
    whole: [number, number],
    crop: [number, number, number, number],
    filter: 'bicubic' | 'bilinear',
  ];
  const cases: Case[] = [
    ['photo.jpg', [300, 225], [38, 1, 224, 223], 'bicubic'],
    ['photo.jpg', [64, 48], [0, 0, 64, 48], 'bicubic'],
    ['photo.png', [50, 50], [9, 9, 32, 32], 'bilinear'],
    ['photo.jpg', [900, 675], [100, 200, 224, 100], 'bicubic'],
    ['turned.jpg', [200, 266], [10, 30, 190, 200], 'bicubic'],
    ['photo.png', [131, 98], [40, 3, 60, 95], 'bicubic'],
    ['edges.png', [40, 40], [4, 4, 32, 32], 'bicubic'],
    ['tiny.png', [40, 80], [4, 24, 32, 32], 'bicubic'],
    ['tiny.png', [3, 6], [0, 1, 3, 4], 'bicubic'],
    // More pixels long than an image may have.
    ['strip.png', [96_000, 64], [47_968, 0, 64, 64], 'bilinear'],
    ['strip.png', [96_000, 64], [95_936, 0, 64, 64], 'bicubic'],
  ];

  it("is Pillow's to the bit, of the whole image and of a part of it", async () => {
    const folder = temporaryFolder();
    const wanted = runPython<{ $bytes: string }[]>(
      `
      import os, base64, numpy
      from PIL import Image, ImageOps
      at = lambda name: os.path.join(input['folder'], name)
      random = numpy.random.default_rng(0)
      y, x = numpy.mgrid[0:375, 0:500]
      smooth = numpy.stack([x / 2, y / 1.5, 127 + 100 * numpy.sin(x / 9) * numpy.cos(y / 7)], 2).astype('uint8')
      noise = random.integers(0, 256, (375, 500, 3), dtype='uint8')
      photo = Image.fromarray((smooth // 2 + noise // 2).astype('uint8'))
      photo.save(at('photo.jpg'), quality=90)
      photo.save(at('photo.png'))
      exif = Image.Exif()
      exif[0x0112] = 6
      photo.save(at('turned.jpg'), exif=exif, quality=90)
      Image.fromarray((255 * ((x // 3 + y // 3) % 2)).astype('uint8')).convert('RGB').save(at('edges.png'))
      Image.fromarray(random.integers(0, 256, (12, 6, 3), dtype='uint8')).save(at('tiny.png'))
      Image.fromarray(random.integers(0, 256, (2, 3000, 3), dtype='uint8')).save(at('strip.png'))
      output = []
      for file, whole, (left, top, width, height), filter in input['cases']:
          image = ImageOps.exif_transpose(Image.open(at(file))).convert('RGB')
          image = image.resize(whole, Image.BICUBIC if filter == 'bicubic' else Image.BILINEAR)
          part = image.crop((left, top, left + width, top + height))
          output.append({'$bytes': base64.b64encode(part.tobytes()).decode()})
      `,
      { folder, cases },
    );
    for (const asBytes of [false, true])
      for (const [i, [file, whole, [left, top, width, height], filter]] of cases.entries()) {
        const request: ImageRequest = {
          crop: { left, top, width, height },
          whole: { width: whole[0], height: whole[1] },
          size: { width, height },
          filter,
        };
        const out = new Uint8Array(3 * width * height);
        const path = join(folder, file);
        await decodeImages([{ image: asBytes ? readFileSync(path) : path, ...request }], out);
        const expected = Buffer.from(wanted[i]!.$bytes, 'base64');
        const off = out.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
        // Of one that lies on its side the columns come before the rows.
        expect(off, `${file} ${whole} ${filter}`).toBeLessThanOrEqual(file === 'turned.jpg' ? 1 : 0);
      }
  });
});

it('refuses a part that lies outside of the whole, or is not of the size that is wanted', async () => {
  const file = join(temporaryFolder(), 'x.bmp');
  // 2×2 grey pixels.
  const header = Buffer.from(
    '424d46000000000000003600000028000000020000000200000001001800000000001000000000000000000000000000000000000000',
    'hex',
  );
  writeFileSync(file, Buffer.concat([header, Buffer.alloc(16, 99)]));
  const read = async (crop: ImageRequest['crop'], side = 4) => {
    const request = {
      index: 0,
      crop,
      whole: { width: 8, height: 8 },
      size: { width: side, height: side },
      filter: 'bicubic',
    } as const;
    const out = new Uint8Array(3 * side * side);
    await new ImageFiles([file]).read([request], out);
    return [...new Set(out)];
  };
  expect(await read({ left: 2, top: 2, width: 4, height: 4 })).toEqual([99]);
  for (const crop of [
    { left: 5, top: 0, width: 4, height: 4 },
    { left: -1, top: 0, width: 4, height: 4 },
    { left: 0, top: 0, width: 3, height: 3 },
  ])
    await expect(read(crop)).rejects.toThrow(ImageError);
});
