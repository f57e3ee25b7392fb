import { type Tensor, tensor } from '@conquer-dml/torch';
import { contentHashes } from '../fit/content-hashes.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Embedder } from '../retrieve/embedder.js';
import type { StopCheck } from '../stop-check.js';
import { type AuditedImages, someOf } from './audited-images.js';
import { classesThatAreOne, classesThatAreTwo } from './class-structure.js';
import { findCopies } from './find-copies.js';
import { type Finding, findingKinds } from './finding.js';
import { leaveOneOut } from './leave-one-out.js';
import { outliers } from './outliers.js';
import { findShortcuts, type Shortcuts } from './shortcuts.js';
import { wrongLabels } from './wrong-labels.js';

/** Cosine from which on two images are all but the same, where nothing is said. */
export const NEARLY_THE_SAME = 0.95;

export interface AuditOptions {
  /** Cosine from which on two images are all but the same, −1…1; default 0.95. */
  minSimilarity?: number | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Ends it, with Interrupted. */
  signal?: AbortSignal | undefined;
  onProgress?: ((what: string, progress: { done: number; total: number }) => void) | undefined;
  /** Told of images that cannot be read and are left out, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** All of its options. */
const optionNames: OptionNames<AuditOptions> = {
  minSimilarity: true,
  threads: true,
  signal: true,
  onProgress: true,
  onWarning: true,
};

/** What is likely to be wrong with some images, their classes and how they are divided. */
export interface AuditReport {
  /** The images that could be read; findings name their places here. */
  images: AuditedImages;
  /** Kind by kind, in each the gravest first. */
  findings: Finding[];
  /** How well the classes are found by what should not find them; null: too few images have one. */
  shortcuts: Shortcuts | null;
}

/**
 * Looks for what is likely to be wrong with images and their classes, by their embeddings: images that are there twice (in one class,
 * in two, in two parts of the data), labels that all others speak against, images like no other, classes that are really one or
 * really two, and whether the border or the size of an image gives its class away.
 *
 * @param embedder one that was not trained on these labels: a network that was has learnt what is wrong of them
 * @throws Interrupted after `signal` was aborted
 */
export async function audit(
  images: AuditedImages,
  embedder: Embedder,
  options: AuditOptions = {},
): Promise<AuditReport> {
  refuseUnknownOptions('audit', options, optionNames);
  const { minSimilarity = NEARLY_THE_SAME, threads, signal, onProgress, onWarning } = options;
  const bad = new Set<number>();
  const rows = await embedder.embed(images.paths, {
    ...{ threads, signal },
    onProgress: (done) => onProgress?.('embedding', { done, total: images.paths.length }),
    onBad: (error, place) => {
      bad.add(place);
      onWarning?.(error.message);
    },
  });
  const read = someOf(
    images,
    [...images.paths.keys()].filter((place) => !bad.has(place)),
  );
  const hashes = await contentHashes(read.paths, { memo: null, signal });
  using all = tensor(rows, { shape: [read.paths.length, embedder.dim] });
  onProgress?.('looking through them', { done: 0, total: 1 });
  const findings = [
    ...findCopies(read, all, {
      hashes: hashes.map((hash, place) => hash ?? `unread ${place}`),
      minSimilarity,
      stop: signal,
    }),
    ...outliers(all, signal),
    ...ofClasses(read, all, signal),
  ];
  onProgress?.('looking through them', { done: 1, total: 1 });
  const shortcuts = await findShortcuts(
    read,
    embedder,
    (place) => rows.subarray(place * embedder.dim, (place + 1) * embedder.dim),
    { threads, signal, onProgress: (progress) => onProgress?.('looking at borders', progress) },
  );
  const order = new Map(findingKinds.map(({ kind }, at) => [kind, at]));
  findings.sort((a, b) => order.get(a.kind)! - order.get(b.kind)! || b.score - a.score);
  return { images: read, findings, shortcuts };
}

/** What labels can be asked about: those of images that have one, where there are classes to compare. */
function ofClasses(images: AuditedImages, rows: Tensor, stop: StopCheck | undefined): Finding[] {
  const places = [...images.labels.keys()].filter((place) => images.labels[place]! >= 0);
  const labels = Int32Array.from(places, (place) => images.labels[place]!);
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  if (counts.size < 2 || Math.max(...counts.values()) < 2) return [];
  using own = rows.indexSelect(0, tensor(BigInt64Array.from(places, BigInt)));
  const numClasses = images.classNames.length;
  const found = leaveOneOut(own, labels, numClasses, { stop });
  return [
    ...wrongLabels(found, labels, numClasses),
    ...classesThatAreOne(found, labels, numClasses),
    ...classesThatAreTwo(own, labels, numClasses, stop),
  ].map((finding) => ({ ...finding, images: finding.images.map((at) => places[at]!) }));
}
