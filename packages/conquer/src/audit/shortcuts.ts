import {
  type DecodeOptions,
  decodeImages,
  type ImageSize,
  imageSizes,
  type RawPixels,
} from '@conquer-dml/image';
import { tensor } from '@conquer-dml/torch';
import type { Embedder } from '../retrieve/embedder.js';
import type { AuditedImages } from './audited-images.js';
import { drawnPlaces } from './drawn-places.js';
import { leaveOneOut } from './leave-one-out.js';

/** Images that the check is made on. */
const SAMPLE = 1500;
/** Side of the middle that is painted over, as a share of the image's. */
const MIDDLE = 0.7;
/** Pixels of the images' shorter side, which is enough for any network here. */
const SHORT_SIDE = 288;

export interface ShortcutOptions {
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** How often the class is found, 0…1, on a sample of images, each by the others. */
export interface Shortcuts {
  /** Images that it was measured on. */
  images: number;
  /** By always naming the largest class. */
  chance: number;
  /** By the whole image. */
  whole: number;
  /** By the border alone, the middle painted over: half of the area. */
  border: number;
  /** By the size in pixels alone. */
  size: number;
}

/**
 * Whether something finds the class that should not: the border of the images alone, or their size. Measured by leaving one out.
 *
 * @returns null where there are too few labelled images
 */
export async function findShortcuts(
  images: AuditedImages,
  embedder: Embedder,
  rowOf: (place: number) => Float32Array,
  { threads, signal, onProgress }: ShortcutOptions = {},
): Promise<Shortcuts | null> {
  const sample = drawnPlaces(
    [...images.labels.keys()].filter((place) => images.labels[place]! >= 0),
    SAMPLE,
  );
  const labels = Int32Array.from(sample, (place) => images.labels[place]!);
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size < 2 || Math.max(...counts.values()) < 2) return null;
  const numbers = new Map([...counts.keys()].map((label, number) => [label, number]));
  const own = labels.map((label) => numbers.get(label)!);
  const share = (rows: readonly Float32Array[]) => {
    using all = tensor(flat(rows), { shape: [rows.length, rows[0]!.length] });
    const { classes, kept } = leaveOneOut(all, own, counts.size, { stop: signal });
    return own.reduce((sum, label, i) => sum + Number(classes[i * kept] === label), 0) / own.length;
  };
  const paths = sample.map((place) => images.paths[place]!);
  const sizes = await imageSizes(paths, { threads, signal });
  const painted: Float32Array[] = [];
  for (let start = 0; start < paths.length; start += 64) {
    const some = paths.slice(start, start + 64);
    const pictures = await paintedOver(some, sizes.slice(start, start + 64), { threads, signal });
    const rows = await embedder.embed(pictures, { threads, signal });
    for (let i = 0; i < some.length; i++) painted.push(rows.slice(i * embedder.dim, (i + 1) * embedder.dim));
    onProgress?.({ done: painted.length, total: paths.length });
  }
  return {
    images: sample.length,
    chance: Math.max(...counts.values()) / sample.length,
    whole: share(sample.map(rowOf)),
    border: share(painted),
    size: bySize(sizes, own),
  };
}

/** The images, each with its middle in one colour, the border's mean. */
async function paintedOver(
  paths: readonly string[],
  sizes: readonly ImageSize[],
  options: DecodeOptions,
): Promise<RawPixels[]> {
  const reduced = sizes.map(({ width, height }) => {
    const scale = Math.min(1, SHORT_SIDE / Math.min(width, height));
    const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * scale))) as [number, number];
    return { width: w, height: h };
  });
  const pixels = new Uint8Array(reduced.reduce((sum, { width, height }) => sum + width * height * 3, 0));
  await decodeImages(
    paths.map((image, i) => ({ image, size: reduced[i]! })),
    pixels,
    options,
  );
  let start = 0;
  return reduced.map((size) => {
    const data = pixels.subarray(start, start + size.width * size.height * 3);
    start += data.length;
    paint({ ...size, data });
    return { ...size, data };
  });
}

function paint({ width, height, data }: RawPixels): void {
  const [left, top] = [width, height].map((side) => Math.round(((1 - MIDDLE) / 2) * side)) as [
    number,
    number,
  ];
  const isMiddle = (x: number, y: number) => x >= left && x < width - left && y >= top && y < height - top;
  const sums = [0, 0, 0];
  let count = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (isMiddle(x, y)) continue;
      count++;
      for (let c = 0; c < 3; c++) sums[c]! += data[(y * width + x) * 3 + c]!;
    }
  const color = sums.map((sum) => Math.round(sum / Math.max(1, count)));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) if (isMiddle(x, y)) data.set(color, (y * width + x) * 3);
}

/** The share of images whose class is the one that most others of their size have. */
function bySize(sizes: readonly ImageSize[], labels: Int32Array): number {
  const classesOf = new Map<string, Map<number, number>>();
  const all = new Map<number, number>();
  const key = ({ width, height }: ImageSize) => `${width}×${height}`;
  for (const [i, size] of sizes.entries()) {
    const counts = classesOf.get(key(size)) ?? new Map<number, number>();
    classesOf.set(key(size), counts.set(labels[i]!, (counts.get(labels[i]!) ?? 0) + 1));
    all.set(labels[i]!, (all.get(labels[i]!) ?? 0) + 1);
  }
  const most = (counts: ReadonlyMap<number, number>, own: number): number | null => {
    let [best, found] = [0, null as number | null];
    for (const [label, count] of counts) {
      const others = count - Number(label === own);
      if (others > best) [best, found] = [others, label];
    }
    return found;
  };
  const right = sizes.reduce((sum, size, i) => {
    const own = labels[i]!;
    return sum + Number((most(classesOf.get(key(size))!, own) ?? most(all, own)) === own);
  }, 0);
  return right / sizes.length;
}

function flat(rows: readonly Float32Array[]): Float32Array {
  const dim = rows[0]!.length;
  const all = new Float32Array(rows.length * dim);
  for (const [i, row] of rows.entries()) all.set(row, i * dim);
  return all;
}
