import type { BestEpoch, EpochRecord, Metrics, Settings, StepRecord } from './api.js';

// What is read from a run's folder may be anything. Each function here takes a value as JSON.parse gives it and returns
// a record of the type that api.ts promises, or null.

type Fields = Record<string, unknown>;

/** More learners than anyone trains; a bound, as matrices of this many rows and columns are made. */
const MAX_CLUSTERS = 256;
const MAX_TEXT = 10_000;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const finite = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
const count = (value: unknown): number => Math.max(0, finite(value) ?? 0);
const isEpoch = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= -1;
const clip = (text: string): string => (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);

function numbersByName(value: unknown): Metrics | null {
  if (!isFields(value)) return null;
  const entries = Object.entries(value).filter(([, number]) => finite(number) !== null);
  // fromEntries makes own properties, also of '__proto__'.
  return Object.fromEntries(entries) as Metrics;
}

export function epochRecord(value: unknown): EpochRecord | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const record: EpochRecord = { epoch: value.epoch, metrics: numbersByName(value.metrics) };
  const validation = numbersByName(value.validation);
  if (validation) record.validation = validation;
  for (const name of ['metricLoss', 'maskLoss', 'steps', 'skipped', 'images', 'numLearners'] as const) {
    const number = finite(value[name]);
    if (number !== null) record[name] = number;
  }
  for (const name of ['fullEmbedding', 'backboneFrozen'] as const) {
    if (typeof value[name] === 'boolean') record[name] = value[name];
  }
  if (value.collapsed === true) record.collapsed = true;
  const learningRates = numbersByName(value.learningRates);
  if (learningRates) record.learningRates = learningRates;
  const seconds = numbersByName(value.seconds);
  if (seconds) record.seconds = seconds;
  return record;
}

export function stepRecord(value: unknown): StepRecord | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const { epoch } = value;
  const step = finite(value.step);
  const steps = finite(value.steps);
  if (step === null || steps === null || steps < 1 || step < 0) return null;
  return {
    epoch,
    step,
    steps,
    metricLoss: finite(value.metricLoss),
    maskLoss: finite(value.maskLoss),
    imagesPerSecond: finite(value.imagesPerSecond),
    skipped: count(value.skipped),
  };
}

/** A line of divisions.jsonl. */
export interface DivisionLine {
  epoch: number;
  numClusters: number;
  sizes: number[];
  classCounts: number[];
  leftOut: number;
  moved: number;
  notes: string[];
  /** The cluster of each training image, -1: none. */
  clusters: Int32Array;
}

export function divisionLine(value: unknown): DivisionLine | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const { epoch, numClusters, sizes, classCounts, notes } = value;
  if (!Number.isInteger(numClusters)) return null;
  const k = numClusters as number;
  if (k < 1 || k > MAX_CLUSTERS || !Array.isArray(sizes) || !Array.isArray(classCounts)) return null;
  if (sizes.length !== k || classCounts.length !== k) return null;
  const clusters = Int32Array.from(Array.isArray(value.clusters) ? value.clusters : [], Number);
  if (clusters.some((cluster) => cluster < -1 || cluster >= k)) return null;
  return {
    epoch,
    numClusters: k,
    sizes: sizes.map(count),
    classCounts: classCounts.map(count),
    leftOut: count(value.leftOut),
    moved: count(value.moved),
    notes: (Array.isArray(notes) ? notes : []).filter((note) => typeof note === 'string').map(clip),
    clusters,
  };
}

/** A line of masks.jsonl: (K, D). */
export interface MaskLine {
  epoch: number;
  masks: Float32Array[];
}

export function maskLine(value: unknown): MaskLine | null {
  if (!isFields(value) || !isEpoch(value.epoch) || !Array.isArray(value.masks)) return null;
  const { epoch, masks } = value;
  const [first] = masks;
  if (!Array.isArray(first) || first.length === 0 || masks.length > MAX_CLUSTERS) return null;
  if (!masks.every((mask) => Array.isArray(mask) && mask.length === first.length)) return null;
  const rows = (masks as unknown[][]).map((mask) => Float32Array.from(mask, (number) => finite(number) ?? 0));
  return { epoch, masks: rows };
}

export function settingsOf(value: unknown): Settings | null {
  if (!isFields(value)) return null;
  const entries = Object.entries(value).flatMap(([name, setting]) => {
    if (typeof setting === 'string') return [[clip(name), clip(setting)]];
    const plain = setting === null || typeof setting === 'boolean' || finite(setting) !== null;
    return plain ? [[clip(name), setting]] : [];
  });
  return Object.fromEntries(entries) as Settings;
}

/** The parts of summary.json that a page shows. */
export interface SummaryFacts {
  status: 'finished' | 'stopped';
  seconds: { divide: number; train: number; evaluate: number; total: number };
  imagesPerSecond: number | null;
}

export function summaryFacts(value: unknown): SummaryFacts | null {
  if (!isFields(value)) return null;
  const { status } = value;
  if (status !== 'finished' && status !== 'stopped') return null;
  const seconds = isFields(value.seconds) ? value.seconds : {};
  return {
    status,
    seconds: {
      divide: count(seconds.divide),
      train: count(seconds.train),
      evaluate: count(seconds.evaluate),
      total: count(seconds.total),
    },
    imagesPerSecond: finite(value.imagesPerSecond),
  };
}

/**
 * The epoch that is best by the metric of the settings, R@1 where they name none: on the validation classes where there
 * are some, else on the test classes.
 */
export function bestEpoch(records: readonly EpochRecord[], settings: Settings): BestEpoch | null {
  const { 'best-by': named } = settings;
  const chosenBy = typeof named === 'string' ? named : 'R@1';
  const score = ({ metrics, validation }: Pick<EpochRecord, 'metrics' | 'validation'>) =>
    (validation ?? metrics)?.[chosenBy] ?? 0;
  let best: BestEpoch | null = null;
  for (const { epoch, metrics, validation } of records) {
    if (epoch < 0 || !metrics || (best && score({ metrics, validation }) <= score(best))) continue;
    best = {
      epoch,
      metrics,
      ...(validation && { validation }),
      chosenOn: validation ? 'validation' : 'test',
      chosenBy,
    };
  }
  return best;
}

/** A list of image files with a label each, as test-images.json holds two of. */
export interface ImageList {
  paths: string[];
  labels: number[];
  classNames: string[];
}

export function testImages(value: unknown): { queries: ImageList; gallery: ImageList | null } | null {
  if (!isFields(value)) return null;
  const queries = imageList(value.queries);
  if (queries === null) return null;
  return { queries, gallery: imageList(value.gallery) };
}

function imageList(value: unknown): ImageList | null {
  if (!isFields(value)) return null;
  const { paths, labels, classNames } = value;
  if (!Array.isArray(paths) || !Array.isArray(labels) || !Array.isArray(classNames)) return null;
  if (!paths.every((path) => typeof path === 'string')) return null;
  if (!labels.every((label) => Number.isSafeInteger(label))) return null;
  return { paths, labels, classNames: classNames.map((name) => clip(String(name))) };
}
