import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Preprocessing } from '@conquer-dml/run';
import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import { cacheFolder } from '../cache-folder.js';
import { requireFiniteRows } from '../evaluate/finite-rows.js';
import type { Backbone } from '../models/backbones/backbone.js';
import { pooledFeatures } from '../models/layers/pooled-features.js';
import { checkStop } from '../stop-check.js';
import { contentHashes } from './content-hashes.js';
import { copyRows, FeatureFiles } from './feature-files.js';
import { type Photo, PhotoView } from './photo-views.js';

/** Photos whose features are written together: what an interruption costs at most, in one view. */
const PORTION = 512;
/** Photos that go through the network at once: more are hardly faster on a processor, and 32 take 1.2 GB where 8 take half a one. */
const BATCH = 8;
/** Share of the photos that may be unreadable. */
const MOST_BAD = 0.05;

export interface KeepFeaturesOptions {
  /** The weights', which tells networks apart. */
  id: string;
  /** What the network is given of a photo in evaluation. */
  seen: Preprocessing;
  /** Views a photo, the one of evaluation among them. */
  views: number;
  /** Folder of features; default in the cache folder. */
  folder?: string | undefined;
  threads?: number | undefined;
  onProgress?: ((what: string, progress: { done: number; total: number }) => void) | undefined;
  onWarning?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Features of photos, each in several views. */
export class KeptFeatures {
  constructor(
    /** float32 (views · N, F) on the CPU: row `view · N + photo`, pooled and not scaled. */
    readonly rows: Tensor,
    /** N. */
    readonly photos: number,
    readonly views: number,
    /** (N,) 1 for a photo that cannot be read, whose rows are zeros. */
    readonly bad: Uint8Array,
    /** Rows that had to be computed; the others were kept before. */
    readonly computed: number,
    /** Of all that the rows are of, in hexadecimal. */
    readonly key: string,
  ) {}

  /** (n, F): these photos as evaluation sees them; belongs to the caller. */
  plain(photos: Int32Array): Tensor {
    return scope(() => this.rows.indexSelect(0, tensor(photos, { dtype: 'int64' })));
  }

  [Symbol.dispose](): void {
    this.rows.dispose();
  }
}

/**
 * Sends photos through a frozen network, each view once: what was kept by an earlier call is read, and the rest is kept, so that
 * a call that was interrupted goes on where it was, and the next one is over at once. Photos are told apart by their bytes.
 *
 * @param backbone in evaluation mode, on the CPU; stays the caller's
 * @param paths absolute, of the N photos
 * @throws UserError where more than 5 % of the photos cannot be read, or features are not finite
 * @throws Interrupted after `signal` was aborted
 */
export async function keepFeatures(
  backbone: Backbone,
  paths: readonly string[],
  options: KeepFeaturesOptions,
): Promise<KeptFeatures> {
  const { id, seen, views, onProgress, onWarning, signal, threads } = options;
  const folder = options.folder ?? join(cacheFolder(), 'features');
  const hashes = await contentHashes(paths, {
    memo: join(folder, 'hashes.json'),
    onProgress: (progress) => onProgress?.('looking through the photos', progress),
    signal,
  });
  const bad = Uint8Array.from(hashes, (hash) => Number(hash === null));
  const complain = (message: string, photo: number) => {
    if (bad[photo] === 1) return;
    bad[photo] = 1;
    onWarning?.(`${message}; it is left out`);
  };
  for (const [photo, hash] of hashes.entries())
    if (hash === null) onWarning?.(`${paths[photo]} cannot be read; it is left out`);
  const { featureSize } = backbone;
  const rows = zeros([views * paths.length, featureSize]);
  const tell = (done: number) =>
    onProgress?.('sending the photos through the network', { done, total: views * paths.length });
  let computed = 0;
  try {
    for (let number = 0; number < views; number++) {
      const view = new PhotoView(number, seen);
      const files = new FeatureFiles(folder, { id, pooling: 'avg', ...view.description }, featureSize);
      // A photo that is there twice is one.
      const first = new Map<string, number>();
      for (const [photo, hash] of hashes.entries())
        if (hash !== null && bad[photo] === 0 && !first.has(hash)) first.set(hash, photo);
      using ofView = rows.narrow(0, number * paths.length, paths.length);
      const found = files.read(first, ofView);
      const missing = [...first].filter(([hash]) => !found.has(hash));
      let done = number * paths.length + paths.length - missing.length;
      tell(done);
      for (let start = 0; start < missing.length; start += PORTION) {
        const portion = missing
          .slice(start, start + PORTION)
          .map(([hash, photo]) => ({ hash, photo, path: paths[photo]! }));
        const kept = await embedPortion(backbone, view, portion, {
          ...{ threads, signal, complain },
          onBatch: (count) => {
            done += count;
            tell(done);
          },
        });
        using features = kept.features;
        files.add(kept.hashes, features);
        computed += kept.hashes.length;
        const places = kept.hashes.map((hash) => first.get(hash)!);
        copyRows(ofView, places, features, [...places.keys()]);
      }
      const [twice, once]: [number[], number[]] = [[], []];
      for (const [photo, hash] of hashes.entries()) {
        const other = hash === null ? undefined : first.get(hash);
        if (other === undefined) continue;
        if (bad[other] === 1) bad[photo] = 1;
        if (other === photo) continue;
        twice.push(photo);
        once.push(other);
      }
      copyRows(ofView, twice, ofView, once);
    }
    tell(views * paths.length);
    refuseTooManyBad(bad);
    return new KeptFeatures(rows, paths.length, views, bad, computed, keyOf(hashes, options));
  } catch (error) {
    rows.dispose();
    throw error;
  }
}

interface Embedded {
  hashes: string[];
  /** (n, F); belongs to the caller. */
  features: Tensor;
}

async function embedPortion(
  backbone: Backbone,
  view: PhotoView,
  portion: readonly (Photo & { photo: number })[],
  {
    threads,
    signal,
    complain,
    onBatch,
  }: {
    threads: number | undefined;
    signal: AbortSignal | undefined;
    complain(message: string, photo: number): void;
    onBatch(count: number): void;
  },
): Promise<Embedded> {
  const batches = Array.from({ length: Math.ceil(portion.length / BATCH) }, (_, i) =>
    portion.slice(i * BATCH, (i + 1) * BATCH),
  );
  const read = (batch: (typeof batches)[number]) => {
    const reading = view.read(batch, (error, at) => complain(error.message, batch[at]!.photo), {
      signal,
      threads,
    });
    // It is waited for when its turn comes; until then a failure must not count as unhandled.
    reading.catch(() => {});
    return reading;
  };
  const hashes: string[] = [];
  const values: Float32Array[] = [];
  let ahead = batches[0] && read(batches[0]);
  using _ = backbone.keepDerived();
  try {
    for (const [i, batch] of batches.entries()) {
      const { images, places } = await ahead!;
      const next = batches[i + 1];
      ahead = next && read(next);
      using seen = images;
      if (places.length > 0)
        scope(() =>
          noGrad(() => {
            const features = pooledFeatures(backbone, seen, 'avg');
            requireFiniteRows(features, (row) => batch[places[row]!]!.path);
            values.push(features.toTypedArray() as Float32Array);
          }),
        );
      hashes.push(...Array.from(places, (place) => batch[place]!.hash));
      onBatch(batch.length);
      checkStop(signal);
    }
  } catch (error) {
    checkStop(signal); // what reads the photos ends by an error of its own
    throw error;
  } finally {
    const left = await ahead?.catch(() => null);
    if (left && !left.images.disposed) left.images.dispose();
  }
  const all = new Float32Array(hashes.length * backbone.featureSize);
  let at = 0;
  for (const part of values) {
    all.set(part, at);
    at += part.length;
  }
  return { hashes, features: tensor(all, { shape: [hashes.length, backbone.featureSize] }).keep() };
}

function refuseTooManyBad(bad: Uint8Array): void {
  const count = bad.reduce((sum, one) => sum + one, 0);
  if (count > MOST_BAD * bad.length)
    throw new UserError(
      `${count} of ${bad.length} photos cannot be read, more than ${100 * MOST_BAD} %: restore them, or take them out`,
    );
}

function keyOf(hashes: readonly (string | null)[], { id, seen, views }: KeepFeaturesOptions): string {
  return createHash('sha256')
    .update(JSON.stringify([id, seen, views, hashes]))
    .digest('hex');
}
