import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprintOf, MAP_FORMAT, toStore } from '@conquer-dml/run';
import sharp from 'sharp';
import { randomNumbers } from '../random-numbers.js';
import { safetensorsBytes as bytesOfTensors } from './large-run.js';

/** The name that a class of hostile text has in these runs. */
export const HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>';

export interface RunFilesOptions {
  /** Where the pictures are written: the folder of the run's data set. */
  dataDir: string;
  epochs?: number;
  /** Epochs asked for; default `epochs`, so that the run is finished. */
  of?: number;
  classes?: number;
  imagesPerClass?: number;
  dim?: number;
  gallery?: boolean;
  /** Sections and fields in the place of those of every such run. */
  experiment?: Record<string, unknown> & { data?: object };
}

export interface RunFiles {
  path: string;
  /** (N, D) and (N,) what embeddings.safetensors holds of the queries. */
  vectors: number[][];
  labels: number[];
  imagePaths: string[];
}

const jsonLine = (value: unknown) => `${JSON.stringify(value)}\n`;

/** Writes a run as `conquer train` does: four classes whose images lie around a direction each, with some astray. */
export async function writeRunFiles(path: string, options: RunFilesOptions): Promise<RunFiles> {
  const { dataDir, epochs = 4, classes = 4, imagesPerClass = 6, dim = 8, gallery = false } = options;
  const random = randomNumbers(7);
  mkdirSync(join(path, 'checkpoints'), { recursive: true });
  const { data, ...others } = options.experiment ?? {};
  const experiment = {
    data: { dataset: { name: 'folder', folder: dataDir }, ...data },
    optimize: { learningRate: 0.001 },
    train: { epochs: options.of ?? epochs },
    ...others,
  };
  writeFileSync(join(path, 'config.json'), JSON.stringify(toStore(experiment)));

  const metrics = (epoch: number) => ({ 'R@1': 0.5 + epoch / 20, 'R@2': 0.6, 'MAP@R': 0.3, NMI: 0.4 });
  appendFileSync(join(path, 'metrics.jsonl'), jsonLine({ epoch: -1, metrics: metrics(-1), seconds: {} }));
  for (let epoch = 0; epoch < epochs; epoch++) appendEpoch(path, epoch, { ...metrics(epoch) });
  const division = (epoch: number, clusters: number[], numClusters: number, moved: number) =>
    jsonLine({
      epoch,
      numClusters,
      sizes: Array.from({ length: numClusters }, (_, k) => clusters.filter((c) => c === k).length),
      classCounts: new Array(numClusters).fill(2),
      leftOut: clusters.filter((c) => c === -1).length,
      moved,
      notes: ['made for a test'],
      clusters,
    });
  writeFileSync(
    join(path, 'divisions.jsonl'),
    division(0, [0, 0, 0, 0, 0, 0], 1, 0) +
      division(1, [0, 0, 1, 1, 1, -1], 2, 0) +
      division(2, [0, 1, 1, 1, 1, 0], 2, 1) +
      division(3, [0, 2, 3, 3, 2, 1], 4, 0),
  );

  const labels: number[] = [];
  const vectors: number[][] = [];
  const imagePaths: string[] = [];
  const classNames = Array.from({ length: classes }, (_, label) =>
    label === 1 ? HOSTILE : `class ${label}`,
  );
  mkdirSync(dataDir, { recursive: true });
  for (let label = 0; label < classes; label++) {
    for (let image = 0; image < imagesPerClass; image++) {
      const astray = image === 0 && label % 2 === 0 ? label + 1 : label;
      vectors.push(Array.from({ length: dim }, (_, d) => (d === astray ? 1 : 0) + 0.2 * random()));
      labels.push(label);
      const file = join(dataDir, `${label}-${image}.png`);
      const background = { r: 60 * label, g: 40 * image, b: 128 };
      await sharp({ create: { width: 40, height: 30, channels: 3, background } })
        .png()
        .toFile(file);
      imagePaths.push(file);
    }
  }
  const list = (from: number, to?: number) => ({
    paths: imagePaths.slice(from, to),
    labels: labels.slice(from, to),
    classNames,
  });
  // With a gallery, the first image of each class is a query and the rest is searched.
  const order = labels.map((_, i) => i);
  const queries = gallery ? order.filter((i) => i % imagesPerClass === 0) : order;
  const searched = gallery ? order.filter((i) => i % imagesPerClass !== 0) : order;
  const pick = <T>(values: T[], chosen: number[]) => chosen.map((i) => values[i] as T);
  const listOf = (chosen: number[]) => ({
    ...list(0),
    paths: pick(imagePaths, chosen),
    labels: pick(labels, chosen),
  });
  writeFileSync(
    join(path, 'test-images.json'),
    JSON.stringify({ queries: listOf(queries), gallery: gallery ? listOf(searched) : null }),
  );
  writeEmbeddings(path, {
    epoch: epochs - 1,
    vectors: pick(vectors, queries),
    labels: pick(labels, queries),
    gallery: gallery ? { vectors: pick(vectors, searched), labels: pick(labels, searched) } : null,
  });
  const summary = {
    status: 'finished',
    seconds: { divide: 1, train: 2, evaluate: 3, total: 7 },
    imagesPerSecond: 99,
  };
  if (options.of === undefined) writeFileSync(join(path, 'summary.json'), JSON.stringify(summary));
  return {
    path,
    vectors: pick(vectors, queries),
    labels: pick(labels, queries),
    imagePaths: pick(imagePaths, queries),
  };
}

/** What a training appends at the end of an epoch. */
export function appendEpoch(path: string, epoch: number, metrics: Record<string, number>): void {
  const losses = { metricLoss: 2 / (epoch + 1), maskLoss: 0.1 };
  appendFileSync(
    join(path, 'metrics.jsonl'),
    jsonLine({
      epoch,
      metrics,
      ...losses,
      steps: 2,
      learningRates: { backbone: 0.001 },
      seconds: { train: 1, evaluate: 1 },
    }),
  );
  for (const step of [0, 1]) {
    const record = { epoch, step, steps: 2, ...losses, imagesPerSecond: 100, skipped: 0 };
    appendFileSync(join(path, 'steps.jsonl'), jsonLine(record));
  }
  appendFileSync(
    join(path, 'masks.jsonl'),
    jsonLine({
      epoch,
      masks: [
        [1, 0, 1, 0, 1, 1, 1, 1],
        [0, 1, 1, 0, 1, 1, 1, epoch],
      ],
    }),
  );
}

export interface EmbeddingFile {
  epoch: number;
  vectors: number[][];
  labels: number[];
  gallery: { vectors: number[][]; labels: number[]; own?: [query: number, row: number][] } | null;
  /** Where the rows stand in test-images.json, of so many images; without it, as older versions wrote the file. */
  rows?: { positions: number[]; of: number };
}

/** embeddings.safetensors, with exact neighbours; learner 0 sees the even dimensions, learner 1 the odd ones. */
export function writeEmbeddings(
  path: string,
  { epoch, vectors, labels, gallery, rows }: EmbeddingFile,
): void {
  const dim = vectors[0]?.length ?? 0;
  const among = gallery?.vectors ?? vectors;
  const own = gallery?.own ?? [];
  const ranked = vectors.map((vector, query) =>
    nearestByHand(vector, among, gallery ? -1 : query).filter(
      ({ index }) => !own.some(([ofQuery, row]) => ofQuery === query && row === index),
    ),
  );
  const depth = Math.min(20, ...ranked.map(({ length }) => length));
  const top = ranked.map((row) => row.slice(0, depth));
  const masks = [0, 1].map((parity) => Array.from({ length: dim }, (_, d) => Number(d % 2 === parity)));
  const tensors: Tensors = {
    embeddings: ['F32', [vectors.length, dim], vectors.flat()],
    labels: ['I32', [labels.length], labels],
    neighbours: ['I32', [vectors.length, depth], top.flat().map(({ index }) => index)],
    distances: ['F32', [vectors.length, depth], top.flat().map(({ distance }) => distance)],
    clusters: ['I32', [vectors.length], labels.map((label) => label % 2)],
    masks: ['F32', [2, dim], masks.flat()],
  };
  if (gallery) {
    tensors.gallery_embeddings = ['F32', [gallery.labels.length, dim], gallery.vectors.flat()];
    tensors.gallery_labels = ['I32', [gallery.labels.length], gallery.labels];
    if (own.length > 0) tensors.own = ['I32', [own.length, 2], own.flat()];
  }
  if (rows) tensors.positions = ['I32', [rows.positions.length], rows.positions];
  const metadata = { epoch: String(epoch), ...(rows && { images: String(rows.of) }) };
  writeFileSync(join(path, 'embeddings.safetensors'), safetensorsBytes(tensors, metadata));
  writeMaps(path, { vectors: Float32Array.from(vectors.flat()), labels: Int32Array.from(labels) });
}

/** Maps as `conquer map` keeps them: of all, and of two learners. The points lie on a circle, each learner's turned. */
function writeMaps(path: string, embeddings: { vectors: Float32Array; labels: Int32Array }): void {
  const metadata = { format: MAP_FORMAT, embeddings: fingerprintOf(embeddings) };
  for (const [turn, name] of ['full', 'learner-0', 'learner-1'].entries()) {
    const angles = Array.from(
      embeddings.labels,
      (_, i) => turn + (2 * Math.PI * i) / embeddings.labels.length,
    );
    const tensors: Tensors = {
      x: ['F32', [angles.length], angles.map(Math.cos)],
      y: ['F32', [angles.length], angles.map(Math.sin)],
    };
    writeFileSync(join(path, `map-${name}.safetensors`), safetensorsBytes(tensors, metadata));
  }
}

/** The neighbours of a vector among others, each made of length 1; nearest first. */
export function nearestByHand(
  vector: number[],
  among: number[][],
  leftOut: number,
): { index: number; distance: number }[] {
  const unit = (values: number[]) => values.map((value) => value / Math.hypot(...values));
  const own = unit(vector);
  return among
    .map((other, index) => ({
      index,
      distance: Math.hypot(...unit(other).map((x, d) => x - (own[d] as number))),
    }))
    .filter(({ index }) => index !== leftOut)
    .sort((a, b) => a.distance - b.distance);
}

type Tensors = Record<string, ['F32' | 'I32', number[], number[]]>;

const safetensorsBytes = (tensors: Tensors, metadata: Record<string, string>): Buffer =>
  bytesOfTensors(
    Object.fromEntries(
      Object.entries(tensors).map(([name, [dtype, shape, values]]) => [
        name,
        { shape, values: dtype === 'F32' ? Float32Array.from(values) : Int32Array.from(values) },
      ]),
    ),
    metadata,
  );
