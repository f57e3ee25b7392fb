// Photos to normalised batches of random resized crops, from the files or from the cache of reduced images.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ImageFiles, packImages } from '@conquer-dml/image';
import {
  CropSource,
  Loader,
  Normalize,
  Random,
  RandomResizedCrop,
} from '../../packages/conquer/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const BATCH = 32;
const THREADS = 2;
const { folder, cache } = sideArguments();

const paths = readdirSync(folder)
  .filter((name) => name.endsWith('.jpg'))
  .map((name) => join(folder, name));
const images =
  cache === 'yes' ? await packImages(paths, { size: 256, file: `${folder}.pack` }) : new ImageFiles(paths);
const batches = [];
for (let start = 0; start < paths.length; start += BATCH) {
  const end = Math.min(paths.length, start + BATCH);
  batches.push(Int32Array.from({ length: end - start }, (_, index) => start + index));
}
const source = new CropSource({ images, cropping: new RandomResizedCrop({ size: 224 }), threads: THREADS });
const random = new Random(1);

await serve(async () => {
  const labels = new Int32Array(paths.length);
  const loader = new Loader({ source, labels, batches, transform: new Normalize(), random, prefetch: 3 });
  let count = 0;
  for await (const { images } of loader) {
    count += images.size(0);
    images.dispose();
  }
  return { images: count };
});
