import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  fingerprintOf,
  IndexFolder,
  type IndexItem,
  RunFiles,
  toStore,
  UserError,
  writeFileAtomic,
  writeProblem,
} from '@conquer-dml/run';
import { ones, type Tensor } from '@conquer-dml/torch';
import { kMeans } from '../clustering/kmeans.js';
import { mapRows } from '../map/map-rows.js';
import { type KeptMap, type MapRunOptions, writeMap } from '../map/map-run.js';
import { nearRows } from '../map/near-rows.js';
import { Random } from '../random.js';
import { KEPT_NEIGHBOURS, writeTestEmbeddings } from '../train/test-embeddings.js';
import { ImageIndex } from './image-index.js';

/** Clusters that a map can be coloured by, as an index has no learners. */
const CLUSTERS = 10;
const NO_LABEL = '(no label)';

/**
 * Maps the images of an index in the plane and keeps that in the index, as a folder that the dashboard shows like a run: the rows, the
 * nearest neighbours of each (from some thousands on nearly all of them, see `nearRows`), ten clusters, labels and paths. It goes
 * when the index's items change.
 *
 * @param path of an index's folder
 * @throws UserError for no index, or one of fewer than two images, or where it cannot be written; Interrupted after `stop`
 */
export async function mapIndex(
  path: string,
  { onPreparation, stop }: Omit<MapRunOptions, 'learners'> = {},
): Promise<KeptMap> {
  const folder = new IndexFolder(path);
  const written = JSON.stringify(folder.manifest().segments);
  using index = ImageIndex.open(path);
  const count = index.imageCount;
  if (count < 2)
    throw new UserError(`${path}: expected an index of two images or more to be mapped, it holds ${count}`);
  using rows = index.allRows();
  const onProgress = onPreparation?.('laying out the index');
  const half = (part: 0 | 1) => (share: number) =>
    onProgress?.({ done: Math.floor(((part + share) / 2) * count), total: count });
  const neighbours = await nearRows(rows, Math.min(KEPT_NEIGHBOURS, count - 1), {
    stop,
    onProgress: half(0),
  });
  const { assignments, centroids } = kMeans(rows, Math.min(CLUSTERS, count), { random: new Random(0), stop });
  centroids.dispose();
  const map = await mapRows(rows, {
    neighbours,
    stop,
    onProgress: ({ done, total }) => half(1)(done / total),
  });
  const unlock = folder.lock();
  try {
    if (JSON.stringify(folder.manifest().segments) !== written)
      throw new UserError(`${path} was changed while it was mapped: map it again`);
    keep(folder, { index, rows, neighbours, clusters: assignments, map });
  } catch (error) {
    throw error instanceof UserError ? error : writeProblem(folder.map, error);
  } finally {
    unlock();
  }
  return { file: new RunFiles(folder.map).mapFile('full'), learner: 'full', points: count };
}

interface Mapped {
  index: ImageIndex;
  rows: Tensor;
  neighbours: Awaited<ReturnType<typeof nearRows>>;
  clusters: Int32Array;
  map: Awaited<ReturnType<typeof mapRows>>;
}

/** Under another name first: what has its own is whole. */
function keep(folder: IndexFolder, { index, rows, neighbours, clusters, map }: Mapped): void {
  for (const name of readdirSync(folder.path))
    if (/^map\.[0-9a-f]+\.tmp$/.test(name)) rmSync(folder.file(name), { recursive: true, force: true });
  const place = `${folder.map}.${randomBytes(4).toString('hex')}.tmp`;
  mkdirSync(place);
  try {
    const files = new RunFiles(place);
    const { origin, dim } = index;
    const images = imagesOf(index.items(), origin?.folder ?? null);
    const labels = Int32Array.from(images.labels);
    const set = { embeddings: rows, labels, positions: Int32Array.from(labels.keys()), total: labels.length };
    using masks = ones([1, dim]);
    const around = { neighbours, clusters };
    writeTestEmbeddings(files.embeddingsFile, {
      queries: set,
      gallery: null,
      own: new Map(),
      masks,
      around,
      epoch: -1,
    });
    writeFileAtomic(files.testImagesFile, JSON.stringify({ queries: images, gallery: null }));
    const vectors = rows.toTypedArray() as Float32Array;
    writeMap(files.mapFile('full'), map, fingerprintOf({ vectors, labels }));
    const config = {
      index: { images: labels.length, dim, model: origin?.source ?? null },
      data: { dataset: { name: 'index', folder: origin?.folder ?? null } },
    };
    writeFileAtomic(files.configFile, `${JSON.stringify(toStore(config), null, 2)}\n`);
    rmSync(folder.map, { recursive: true, force: true });
    renameSync(place, folder.map);
  } catch (error) {
    rmSync(place, { recursive: true, force: true });
    throw error;
  }
}

/** By row; the class of an image is the first label of its item. */
function imagesOf(items: Iterable<IndexItem>, folder: string | null) {
  const names = new Map<string, number>();
  const [paths, labels]: [string[], number[]] = [[], []];
  for (const {
    id,
    labels: [label = NO_LABEL],
    images,
  } of items) {
    const number = names.get(label) ?? names.size;
    names.set(label, number);
    for (const { path } of images) {
      paths.push(path === null || folder === null ? id : resolve(join(folder, path)));
      labels.push(number);
    }
  }
  return { paths, labels, classNames: [...names.keys()] };
}
