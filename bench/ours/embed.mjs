// Photos to embeddings for evaluation: files, resize and centre crop, the network.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ImageFiles } from '@conquer-dml/image';
import {
  CenterCrop,
  CropSource,
  createModel,
  embedImages,
  Loader,
  Normalize,
  Random,
} from '../../packages/conquer/dist/index.js';
import { serve, sideArguments } from './side.mjs';

const BATCH = 50;
const THREADS = 2;
const { folder, arch, size, images, precision = 'float32' } = sideArguments();
const count = Number(images);

const photos = readdirSync(folder)
  .filter((name) => name.endsWith('.jpg'))
  .map((name) => join(folder, name));
const files = new ImageFiles(Array.from({ length: count }, (_, i) => photos[i % photos.length]));
const cropping = new CenterCrop({ size: Number(size), resize: Math.round((Number(size) * 256) / 224) });
const source = new CropSource({ images: files, cropping, threads: THREADS });
const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, batch) =>
  Int32Array.from({ length: Math.min(BATCH, count - batch * BATCH) }, (_, i) => batch * BATCH + i),
);
const model = createModel(arch, { embeddingDim: 512 });
model.backbone.precision = precision;

await serve(async () => {
  const options = { source, labels: new Int32Array(count), batches, prefetch: 3 };
  const loader = new Loader({ ...options, transform: new Normalize(), random: new Random(1) });
  const embeddings = await embedImages(model, loader);
  const [rows] = embeddings.shape;
  embeddings.dispose();
  return { images: rows };
});
