import { createHash } from 'node:crypto';
import { existsSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileOfImage } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, zeros } from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import { cacheFolder } from '../cache-folder.js';
import { InOrderBatches } from '../data/in-order.js';
import type { Batch } from '../data/loader.js';
import type { TrainingData } from '../data/training-data.js';
import type { Builder, Progress } from '../experiment/builder.js';
import type { Experiment } from '../experiment/experiment.js';
import type { Backbone } from '../models/backbones/backbone.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { OptionError } from '../option-error.js';
import { castTo } from '../precision.js';
import { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { KeptMaps, type MapsForm } from './kept-maps.js';

/** Images that go through the frozen layers at once. */
const BATCH = 32;
/** Of what is free on the disk, the share that is left to others. */
const SPARED = 0.05;

export interface FrozenFeaturesOptions {
  /** `freezeBelow` of the tuning. */
  depth: number;
  /** Views an image, `keptViews` of the tuning. */
  views: number;
  /** `keptGigabytes` of the tuning. */
  gigabytes: number;
  /** Side of the training images in pixels. */
  side: number;
  /** All that a view goes by besides the image and its own number. */
  view: object;
  /** Where the network is. */
  device: string;
  /** Folder of all that is kept; default in the cache folder. */
  folder?: string | undefined;
  signal?: StopCheck | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/**
 * Training data as an experiment has them: with what its frozen layers make in the place of images where it keeps that.
 *
 * @param processes that train together
 * @throws OptionError for what does not go together with it
 */
export function withFrozenFeatures(
  data: TrainingData,
  { backbone, view }: EmbeddingModel,
  { data: images, model: { tuning }, train: { device, gradientCache } }: Experiment,
  { own = {}, onPreparation, signal }: Builder,
  processes: number,
): TrainingData {
  if (tuning.name !== 'full' || tuning.keptViews === null) return data;
  const { freezeBelow: depth, keptViews: views, keptGigabytes: gigabytes } = tuning;
  const refuse = (expected: string) => new OptionError('model.tuning.keptViews', `expected ${expected}`);
  if (depth === 0)
    throw refuse('layers that stay, model.tuning.freezeBelow 1 or more, or null: each step runs all');
  if (images.imageSizeFrom !== null)
    throw refuse('images of one size, data.imageSizeFrom null, or null: images that grow have no kept views');
  if (own.augmentation)
    throw refuse("an augmentation by its name, which tells views apart, or null with one of one's own");
  if (processes > 1)
    throw refuse(`null, or one process: each of ${processes} would need its images' views from the others`);
  const { augmentation, cache } = images;
  const what = 'keeping what the frozen layers make of the training images';
  let bar: Progress | undefined;
  return frozenFeatures(data, backbone, {
    ...{ depth, views, gigabytes, device, signal },
    side: view.size,
    view: { seen: view, augmentation, cache, chunk: gradientCache?.chunk ?? null },
    onProgress(progress) {
      bar ??= onPreparation?.(what);
      bar?.(progress);
    },
  });
}

/**
 * Training data whose augmented batches hold what the first layers of a backbone, which stay as they are, make of the images, in the
 * place of these: `featuresOf` goes on from there. Each image has so many views, which its place in the training set and their
 * number settle; a batch draws one of them. All of them go through the layers once, in `prepare`, and are kept on the disk for later
 * runs too.
 *
 * @param backbone of which the first layers are frozen; from here on it takes both
 * @throws OptionError for a backbone that does not run in parts, and for more than may be kept
 */
export function frozenFeatures(
  data: TrainingData,
  backbone: Backbone,
  options: FrozenFeaturesOptions,
): TrainingData {
  const { depth, views, device, signal, onProgress } = options;
  const form = formOf(backbone, options);
  const count = data.trainLabels.length;
  refuseTooLarge(form, count, options);
  backbone.keptBelow = depth;
  let kept: KeptMaps | null = null;

  /** A view of all images, batch by batch. */
  async function* computed(view: number) {
    const batches = [...new InOrderBatches(count, BATCH)];
    let done = view * count;
    using _ = backbone.keepDerived();
    for await (const { images, indices } of data.augmented(batches, new Random(view), 0)) {
      try {
        const rows = noGrad(() =>
          scope(() => firstLayers(backbone, images.narrow(0, 0, images.shape[0]!), depth)),
        ).keep();
        try {
          yield { rows, indices };
        } finally {
          rows.dispose();
        }
      } finally {
        images.dispose();
      }
      done += indices.length;
      onProgress?.({ done, total: views * count });
      checkStop(signal);
    }
  }

  return {
    ...data,
    plain: (split, part) => data.plain(split, part),
    async prepare() {
      const maps = new KeptMaps(folderOf(data, backbone, options), form, count);
      for (let view = 0; view < views; view++) if (!maps.has(view)) await maps.write(view, computed(view));
      await maps.open(views);
      kept = maps;
    },
    async *augmented(batches, random, done): AsyncGenerator<Batch<BatchImages>> {
      if (kept === null) throw new RangeError('expected prepare() before the first augmented batch');
      const maps = kept;
      const drawn = batches.map((places) => {
        const stream = random.fork();
        return places.map(() => stream.int(views));
      });
      const ask = (batch: number) => {
        const reading = maps.read(drawn[batch]!, batches[batch]!);
        // A failure is reported when its batch is due; until then it must not count as unhandled.
        reading.catch(() => {});
        return reading;
      };
      let ahead = done < batches.length ? ask(done) : null;
      try {
        for (let batch = done; batch < batches.length; batch++) {
          const make = await ahead!;
          const images = scope(() => make().to({ device })).keep();
          ahead = batch + 1 < batches.length ? ask(batch + 1) : null;
          const indices = batches[batch]!.map((place, row) => maps.imageAt(drawn[batch]![row]!, place));
          yield { images, indices, labels: indices.map((image) => data.trainLabels[image]!) };
        }
      } finally {
        await ahead?.catch(() => {});
      }
    },
    async close() {
      await kept?.close();
      kept = null;
    },
  };
}

/** In the precision that the network is computed in, whose type they keep. They belong to the caller. */
function firstLayers(backbone: Backbone, images: Tensor, depth: number): Tensor {
  return castTo(backbone.precision, images, (x) => backbone.through!(x, 0, depth));
}

function formOf(backbone: Backbone, { depth, side, device }: FrozenFeaturesOptions): MapsForm {
  if (backbone.through === undefined)
    throw new OptionError(
      'model.tuning.keptViews',
      `expected a backbone that runs in parts (ResNets, EfficientNets, MobileNets, vision transformers), got ${backbone.name}; null: it runs whole`,
    );
  return noGrad(() =>
    scope(() => {
      const { dtype = 'float32' } = backbone.parameters()[0] ?? {};
      const maps = firstLayers(backbone, zeros([1, 3, side, side], { device, dtype }), depth);
      const itemSize = { float64: 8, float32: 4 }[maps.dtype as string] ?? 2;
      return { dtype: maps.dtype, shape: maps.shape.slice(1), itemSize };
    }),
  );
}

/** @throws OptionError that says how much it would be, and how to need less */
function refuseTooLarge(
  form: MapsForm,
  count: number,
  { views, gigabytes, folder = ownFolder() }: FrozenFeaturesOptions,
): void {
  const needed = (KeptMaps.bytesOf(form) * count * views) / 1e9;
  const room = freeGigabytes(folder) * (1 - SPARED);
  if (needed <= Math.min(gigabytes, room)) return;
  const most = needed > gigabytes ? 'model.tuning.keptGigabytes' : `what is free on the disk of ${folder}`;
  const form_ = form.shape.join('×');
  throw new OptionError(
    'model.tuning.keptViews',
    `expected at most ${most}, ${rounded(Math.min(gigabytes, room))} GB, got ${views} views of ${count} images of ${form_} numbers, ${rounded(needed)} GB: fewer views, smaller images or a model.tuning.freezeBelow behind which maps are smaller need less; null: none`,
  );
}

const rounded = (gigabytes: number) => Number(gigabytes.toPrecision(2));

const ownFolder = () => join(cacheFolder(), 'frozen');

/** Of the disk that a folder is, or will be, on. */
function freeGigabytes(folder: string): number {
  let there = folder;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  const { bavail, bsize } = statfsSync(there);
  return (bavail * bsize) / 1e9;
}

/** By all that the numbers go by: the frozen weights, the views, the images. */
function folderOf(data: TrainingData, backbone: Backbone, options: FrozenFeaturesOptions): string {
  const { depth, side, view, device, folder = ownFolder() } = options;
  const hash = createHash('sha256');
  const { name, precision } = backbone;
  hash.update(JSON.stringify(['conquer-frozen-1', name, depth, precision, side, view, device]));
  for (const tensor of backbone.tensorsBelow(depth)) {
    const { buffer, byteOffset, byteLength } = tensor.toTypedArray();
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const stamps = new Map<string, string>();
  for (const path of data.trainPaths ?? []) {
    const file = fileOfImage(path);
    let stamp = stamps.get(file);
    if (stamp === undefined) {
      const found = statSync(file, { throwIfNoEntry: false });
      stamp = `${found?.size} ${found?.mtimeMs}`;
      stamps.set(file, stamp);
    }
    hash.update(`${path}\0${stamp}\0`);
  }
  return join(folder, hash.digest('hex').slice(0, 32));
}
