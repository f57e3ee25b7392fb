import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { checkImages } from './check-images.js';
import { openFolder } from './folder.js';

let folder: string;
const odd = ['cmyk.jpg', 'grey.jpg', 'grey16.png', 'alpha.png', 'animated.gif', 'rotated.jpg', '1x1.png'];
const nameOf = (path: string) => path.split('/').at(-1)!;
const broken = ['truncated.jpg', 'zero.jpg', 'text.jpg', 'bomb.png'];

/** A PNG of 20,000 × 20,000 pixels in 50 KB: all zeros. */
function bomb(): Buffer {
  const { crc32 } = process.getBuiltinModule('node:zlib');
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(20_000, 0);
  header.writeUInt32BE(20_000, 4);
  header.set([1, 0], 8); // one bit a pixel, grey
  const rows = deflateSync(Buffer.alloc(2501 * 20_000), { level: 1 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', rows),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

beforeAll(async () => {
  folder = temporaryFolder();
  const photo = sharp({ create: { width: 40, height: 30, channels: 3, background: '#a52' } });
  const [jpeg, grey] = [
    await photo.clone().jpeg().toBuffer(),
    await photo.clone().greyscale().png().toBuffer(),
  ];
  const contents: Record<string, Buffer> = {
    'cmyk.jpg': await photo.clone().toColourspace('cmyk').jpeg().toBuffer(),
    'grey.jpg': await photo.clone().greyscale().jpeg().toBuffer(),
    'grey16.png': await sharp(grey).toColourspace('grey16').png().toBuffer(),
    'alpha.png': await photo.clone().ensureAlpha(0.5).png().toBuffer(),
    'animated.gif': await photo.clone().gif().toBuffer(),
    'rotated.jpg': await photo.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    '1x1.png': await photo.clone().resize(1, 1).png().toBuffer(),
    'truncated.jpg': jpeg.subarray(0, jpeg.length - 30),
    'zero.jpg': Buffer.alloc(0),
    'text.jpg': Buffer.from('not an image'),
    'bomb.png': bomb(),
  };
  for (let label = 0; label < 6; label++) {
    const images = join(folder, `class-${label}`);
    mkdirSync(images);
    for (let image = 0; image < 20; image++) writeFileSync(join(images, `${image}.jpg`), jpeg);
  }
  for (const [at, [name, bytes]] of Object.entries(contents).entries())
    writeFileSync(join(folder, `class-${at % 6}`, name), bytes);
});

it('names each bad image in a line, with how many there are, and takes what is only unusual', async () => {
  const whole = await openFolder({ folder });
  const messages: string[] = [];
  const bad = await checkImages(whole, { onBad: (message) => messages.push(message) });
  expect(messages).toHaveLength(broken.length);
  for (const name of broken)
    expect(
      messages.filter((text) => text.includes(`/${name}: `)),
      name,
    ).toHaveLength(1);
  expect(messages.join('')).not.toContain('\n');
  expect(messages[3]).toMatch(/^bad image 4 of at most 6: cannot read the image /);
  expect(messages.find((text) => text.includes('bomb.png'))).toMatch(/more than 134217728 pixels/);
  const badNames = [...whole.train.paths, ...whole.test.paths].filter((path) => bad.has(path)).map(nameOf);
  expect(badNames.sort()).toEqual([...broken].sort());
  for (const name of odd) expect(badNames).not.toContain(name);
});

it('refuses a data set of which more than 5 % are bad', async () => {
  const jpeg = readFileSync(join(folder, 'class-0', '0.jpg'));
  for (let image = 0; image < 8; image++)
    writeFileSync(join(folder, 'class-0', `bad-${image}.jpg`), jpeg.subarray(0, 200));
  const whole = await openFolder({ folder });
  await expect(checkImages(whole, { onBad: () => {} })).rejects.toThrow(UserError);
  await expect(checkImages(whole, { onBad: () => {} })).rejects.toThrow(
    /^more than 5 % of the 139 images are bad, the last one: /,
  );
});
