import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { AutoModel, env, pipeline, RawImage, Tensor } from '@huggingface/transformers';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { openModel } from '../retrieve/open-model.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { cosine } from './compare-graph.js';
import { exportOnnx } from './export-onnx.js';
import { drawnPictures } from './photo-pixels.js';

// transformers.js 4 with what an export wrote, from the disk: nothing is fetched.

let folder: string;
let model: TrainedModel;

beforeAll(async () => {
  folder = temporaryFolder();
  model = await openModel(drawnRun(join(folder, 'run'), drawnExperiment()));
  const photos = await pictures();
  await exportOnnx(model, join(folder, 'exported'), { photos, half: true, int8: true });
  env.allowRemoteModels = false;
  env.localModelPath = folder;
  return () => model.close();
}, 60_000);

/** Pictures of drawn waves, of several sizes, or all of one. @returns their paths */
async function pictures(side?: number): Promise<string[]> {
  return await Promise.all(
    drawnPictures().map(async ({ width, height, data }, i) => {
      const path = join(folder, `${side ?? 'as-they-are'}-${i}.png`);
      const image = sharp(data, { raw: { width, height, channels: 3 } });
      await (side === undefined ? image : image.resize(side, side, { fit: 'fill' })).png().toFile(path);
      return path;
    }),
  );
}

async function rowsOf(paths: readonly string[], dtype: 'fp32' | 'fp16' | 'q8' = 'fp32'): Promise<number[][]> {
  const extract = await pipeline('image-feature-extraction', 'exported', { dtype });
  const rows = await extract([...paths]);
  await extract.dispose();
  expect(rows.dims).toEqual([paths.length, model.dim]);
  return rows.tolist() as number[][];
}

async function leastCosine(paths: readonly string[], rows: readonly number[][]): Promise<number> {
  const wanted = await Promise.all(paths.map((path) => model.embed([path])));
  return Math.min(...rows.map((row, i) => cosine(row, wanted[i]!)));
}

it.each([
  ['fp32', 0.9999],
  ['fp16', 0.9999],
  ['q8', 0.98],
] as const)(
  'its image-feature-extraction pipeline gives the rows of pictures of the size that is resized to (%s)',
  async (dtype, least) => {
    const paths = await pictures(model.view.resize);
    expect(await leastCosine(paths, await rowsOf(paths, dtype))).toBeGreaterThan(least);
  },
);

it('which it resizes itself it sees otherwise: without a filter, unlike Pillow', async () => {
  const paths = await pictures();
  const least = await leastCosine(paths, await rowsOf(paths));
  expect(least).toBeGreaterThan(0.98);
  expect(least).toBeLessThan(0.9999);
});

it('image.onnx gives the rows of whole pictures by it, resized in the graph', async () => {
  const exact = await AutoModel.from_pretrained('exported', {
    dtype: 'fp32',
    subfolder: '',
    model_file_name: 'image',
  });
  const paths = await pictures();
  const rows: number[][] = [];
  for (const path of paths) {
    const { data, width, height } = (await RawImage.read(path)).rgb();
    const { embedding } = await exact({ image: new Tensor('uint8', data, [1, height, width, 3]) });
    rows.push([...(embedding.data as Float32Array)]);
  }
  await exact.dispose();
  expect(await leastCosine(paths, rows)).toBeGreaterThan(0.9999);
});
