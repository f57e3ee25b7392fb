import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { Dataset, Split } from '../datasets/dataset.js';
import type { DatasetRecord } from '../datasets/dataset-record.js';
import type { Division } from '../divide/division.js';
import { UserError } from '../error.js';
import type { Metrics } from '../evaluate/evaluate.js';
import type { EpochProfile } from './profile.js';
import { lockHolder, type RunningProcess, refuseIfRunning, takeLock } from './run-lock.js';
import type { StepRecord } from './step-log.js';

/** Settings by their long option names, as the command line resolved them. */
export type Settings = Record<string, string | number | boolean | null>;

/** One line of metrics.jsonl: what one epoch did. Epoch -1 is the network before training: metrics only. */
export interface EpochRecord {
  /** Counted from 0; -1: before training. */
  epoch: number;
  /** Retrieval and clustering on the unseen classes, fractions by name; null where the epoch was not evaluated. */
  metrics: Metrics | null;
  /** The same on the classes that were set aside for validation, where some were. */
  validation?: Metrics;
  /** Mean over the epoch's steps that trained. */
  metricLoss?: number;
  /** Mean over the epoch's steps that trained, lambda included. */
  maskLoss?: number;
  /** Steps of the epoch, skipped ones included. */
  steps?: number;
  /** Steps without a single tuple, which trained nothing. */
  skipped?: number;
  /** Training images seen in the epoch. */
  images?: number;
  numLearners?: number;
  /** Whether the whole embedding trained, without masks. */
  fullEmbedding?: boolean;
  backboneFrozen?: boolean;
  /** Learning rate by parameter group, at the epoch's last step. */
  learningRates?: Record<string, number>;
  /** The test embeddings are all but one point; not there where they are not. */
  collapsed?: true;
  /** Wall-clock seconds of the epoch's parts. */
  seconds: { divide?: number; train?: number; evaluate: number };
  /** Where the time went, for a run with `--profile`. */
  profile?: EpochProfile;
}

/**
 * The epoch that was best by the metric that was asked for (R@1): on the validation classes where there are some, else on
 * the test classes.
 */
export interface BestEpoch {
  epoch: number;
  /** On the test classes. */
  metrics: Metrics;
  validation?: Metrics;
}

/**
 * What a line of metrics.jsonl is compared by for the best epoch.
 * @param by name of a metric, see `choosingMetrics`
 */
export function scoreOf(
  { metrics, validation }: Pick<EpochRecord, 'metrics' | 'validation'>,
  by: string,
): number {
  return (validation ?? metrics)?.[by] ?? 0;
}

/** test-images.json: all images that are tested on; those of embeddings.safetensors are among them. */
export interface TestImages {
  queries: ImageList;
  gallery: ImageList | null;
}

/** Absolute paths, a label each, and what the labels mean. */
export interface ImageList {
  paths: string[];
  labels: number[];
  classNames: string[];
}

/** What of a data set is tested on. */
export function testImagesOf({ test, gallery }: Pick<Dataset, 'test' | 'gallery'>): TestImages {
  const list = ({ paths, labels, classNames }: Split) => ({ paths, labels: [...labels], classNames });
  return { queries: list(test), gallery: gallery ? list(gallery) : null };
}

/** A line of masks.jsonl: the learners' masks at the end of an epoch, as they are applied. (K, D) */
export interface MaskRecord {
  epoch: number;
  masks: number[][];
}

/** One line of divisions.jsonl. */
export type DivisionRecord = Omit<Division, 'clusters'> & { clusters: number[] };

/** summary.json, written when a run ends. `docs/run-folder.md` describes it. */
export interface Summary {
  /** 'stopped': by a signal; the run can be resumed. */
  status: 'finished' | 'stopped';
  settings: Settings;
  /** To train in all. */
  epochs: number;
  /** `chosenOn` 'test': on the very classes of `metrics`, so an optimistic number; say so where you quote it. */
  best: (BestEpoch & { chosenOn: 'test' | 'validation'; chosenBy: string }) | null;
  /** Of the last whole epoch, on the test classes. */
  last: { epoch: number; metrics: Metrics } | null;
  /** Of the network before training, on the test classes; null where that was not evaluated. */
  untrained: Metrics | null;
  /** Images that were asked for, of which these metrics are means; 0: every class trained. */
  queries: number;
  /** Wall-clock seconds by phase, over all sessions of the run. */
  seconds: { divide: number; train: number; evaluate: number; total: number };
  /** Training images a second, while training. */
  imagesPerSecond: number;
  /** Absolute paths; relative to the run folder in the file, which may move. */
  checkpoints: { best: string; last: string };
}

/** Why a file could not be written, in words. */
function writeProblem(path: string, error: unknown): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'it would be larger than this process may write (ulimit -f)',
    EROFS: 'the disk is read-only',
    EACCES: 'there is no permission',
    EPERM: 'there is no permission',
    ENOENT: `the folder ${dirname(path)} is gone`,
  };
  return new UserError(`${path} cannot be written: ${reasons[code ?? ''] ?? message}`);
}

function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
}

/**
 * Writes a whole file or nothing: a reader never sees half of it, nor does one after a power cut.
 *
 * @throws UserError when it cannot be written; what was there before stays
 */
export function writeFileAtomic(path: string, contents: string): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      writeAll(descriptor, contents);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw writeProblem(path, error);
  }
}

/** Adds a line to a log; `durable`: it is on the disk before anything that is written afterwards. */
function appendLine(path: string, record: object, { durable = true } = {}): void {
  try {
    const descriptor = openSync(path, 'a');
    try {
      writeAll(descriptor, `${JSON.stringify(record)}\n`);
      if (durable) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw writeProblem(path, error);
  }
}

/** Younger temporary files may be somebody's who writes just now. */
const LEFT_OVER_AFTER_SECONDS = 60;

/**
 * The folder of one run: config.json (settings), metrics.jsonl (an EpochRecord a line), divisions.jsonl (a
 * DivisionRecord a line), checkpoints/{best,last,previous}.safetensors and, at the end, summary.json; and what a page shows:
 * steps.jsonl, masks.jsonl, test-images.json, embeddings.safetensors. docs/run-folder.md describes them.
 */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder and its config.json.
   * @throws UserError when there is a run already, which is never written over, or the folder cannot be
   *   written
   */
  static create(path: string, settings: Settings): RunFolder {
    const folder = new RunFolder(resolve(path));
    if (existsSync(folder.configFile)) {
      refuseIfRunning(folder.lockFile, path);
      throw new UserError(
        `there is a run in ${path} already: go on with it (--resume), or choose another name (--name)`,
      );
    }
    try {
      mkdirSync(join(folder.path, 'checkpoints'), { recursive: true });
      writeFileAtomic(folder.configFile, `${JSON.stringify(settings, null, 2)}\n`);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`the run folder ${path} cannot be written: ${(error as Error).message}`);
    }
    return folder;
  }

  /** The folder of a run that is there. @throws UserError when there is no run */
  static open(path: string): RunFolder {
    const folder = new RunFolder(resolve(path));
    if (!existsSync(folder.configFile)) {
      throw new UserError(
        `there is no run in ${path}: expected a folder with a config.json that conquer train wrote`,
      );
    }
    return folder;
  }

  /** Whether there is a run in this folder. */
  static exists(path: string): boolean {
    return existsSync(new RunFolder(resolve(path)).configFile);
  }

  get configFile(): string {
    return join(this.path, 'config.json');
  }
  private get lockFile(): string {
    return join(this.path, 'running.json');
  }
  get metricsFile(): string {
    return join(this.path, 'metrics.jsonl');
  }
  get divisionsFile(): string {
    return join(this.path, 'divisions.jsonl');
  }
  get stepsFile(): string {
    return join(this.path, 'steps.jsonl');
  }
  get masksFile(): string {
    return join(this.path, 'masks.jsonl');
  }
  get testImagesFile(): string {
    return join(this.path, 'test-images.json');
  }
  get datasetFile(): string {
    return join(this.path, 'dataset.json');
  }
  get embeddingsFile(): string {
    return join(this.path, 'embeddings.safetensors');
  }
  get notFiniteFile(): string {
    return join(this.path, 'not-finite.jsonl');
  }
  get summaryFile(): string {
    return join(this.path, 'summary.json');
  }
  get lastCheckpoint(): string {
    return join(this.path, 'checkpoints', 'last.safetensors');
  }
  /** The checkpoint before the last one. */
  get previousCheckpoint(): string {
    return join(this.path, 'checkpoints', 'previous.safetensors');
  }
  get bestCheckpoint(): string {
    return join(this.path, 'checkpoints', 'best.safetensors');
  }

  /** Who is training this run, or null. A process that has ended does not count. */
  runningProcess(): RunningProcess | null {
    return lockHolder(this.lockFile);
  }

  /**
   * Takes the run for this process until the returned function is called, and clears away what a killed process was
   * writing.
   *
   * @throws UserError when another process has it
   */
  lock(): () => void {
    let unlock: () => void;
    try {
      unlock = takeLock(this.lockFile, this.path);
    } catch (error) {
      throw error instanceof UserError ? error : writeProblem(this.lockFile, error);
    }
    for (const folder of [this.path, join(this.path, 'checkpoints')]) {
      for (const name of existsSync(folder) ? readdirSync(folder) : []) {
        const file = join(folder, name);
        if (!name.endsWith('.tmp')) continue;
        const age = (Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)) / 1000;
        if (age > LEFT_OVER_AFTER_SECONDS) rmSync(file, { force: true });
      }
    }
    return unlock;
  }

  /** The checkpoints to go on from, the newest first, whether they are there or not. */
  get resumable(): string[] {
    return [this.lastCheckpoint, this.previousCheckpoint, this.bestCheckpoint];
  }

  /** Whether there is anything to go on from; else a run begins anew. */
  get hasCheckpoint(): boolean {
    return this.resumable.some((file) => existsSync(file));
  }

  /**
   * Keeps the last checkpoint under the name of the previous one too, until a new one takes its place.
   * @throws UserError when it cannot be written
   */
  keepPreviousCheckpoint(): void {
    if (!existsSync(this.lastCheckpoint)) return;
    try {
      rmSync(this.previousCheckpoint, { force: true });
      linkSync(this.lastCheckpoint, this.previousCheckpoint);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS')
        throw writeProblem(this.previousCheckpoint, error);
      renameSync(this.lastCheckpoint, this.previousCheckpoint); // a file system without links
    }
  }

  /** What config.json holds. @throws UserError when it cannot be read, or is no list of settings */
  settings(): Settings {
    const settings = readObject(this.configFile);
    for (const [name, value] of Object.entries(settings)) {
      if (value !== null && !['string', 'number', 'boolean'].includes(typeof value)) {
        throw new UserError(
          `${this.configFile} is damaged: expected a number or text for ${name}, got ${JSON.stringify(value)}`,
        );
      }
    }
    return settings as Settings;
  }

  /** For a run that goes on with more epochs. @throws UserError when it cannot be written */
  updateSettings(settings: Settings): void {
    writeFileAtomic(this.configFile, `${JSON.stringify(settings, null, 2)}\n`);
  }

  /** Adds a line to metrics.jsonl. @throws UserError when it cannot be written */
  appendEpoch(record: EpochRecord): void {
    appendLine(this.metricsFile, record);
  }

  /** Adds a line to divisions.jsonl. @throws UserError when it cannot be written */
  appendDivision(division: Division): void {
    const record: DivisionRecord = { ...division, clusters: [...division.clusters] };
    appendLine(this.divisionsFile, record);
  }

  /** Adds a line to steps.jsonl. @throws UserError when it cannot be written */
  appendSteps(record: StepRecord): void {
    appendLine(this.stepsFile, record, { durable: false });
  }

  /**
   * Adds a line to masks.jsonl, rounded to four digits after the point.
   * @param masks (K, D), as they are applied
   * @throws UserError when it cannot be written
   */
  appendMasks(epoch: number, masks: number[][]): void {
    const rounded = masks.map((mask) => mask.map((value) => Math.round(value * 1e4) / 1e4));
    const record: MaskRecord = { epoch, masks: rounded };
    appendLine(this.masksFile, record);
  }

  /**
   * Adds a batch whose loss or gradient was not finite to not-finite.jsonl.
   * @throws UserError when it cannot be written
   */
  appendNotFinite(record: object): void {
    appendLine(this.notFiniteFile, record);
  }

  /** Writes test-images.json. @throws UserError when it cannot be written */
  writeTestImages(images: TestImages): void {
    writeFileAtomic(this.testImagesFile, `${JSON.stringify(images)}\n`);
  }

  /** @throws UserError when the run has none, or they are damaged */
  testImages(): TestImages {
    const { queries, gallery } = readObject(this.testImagesFile) as Partial<TestImages>;
    if (!isImageList(queries) || !(gallery === null || isImageList(gallery)))
      throw new UserError(
        `${this.testImagesFile} is damaged: expected lists of paths, labels and classNames`,
      );
    return { queries, gallery };
  }

  /** Writes dataset.json. @throws UserError when it cannot be written */
  writeDataset(record: DatasetRecord): void {
    writeFileAtomic(this.datasetFile, `${JSON.stringify(record)}\n`);
  }

  /**
   * The data set that the run was trained on; null for a run of before it was recorded.
   * @throws UserError when the record is damaged
   */
  dataset(): DatasetRecord | null {
    if (!existsSync(this.datasetFile)) return null;
    const record = readObject(this.datasetFile) as Partial<DatasetRecord>;
    const { sha256, folder, splits } = record;
    const whole =
      typeof sha256 === 'string' &&
      typeof folder === 'string' &&
      splits instanceof Object &&
      Object.values(splits).every(isImageList);
    if (!whole) {
      throw new UserError(
        `${this.datasetFile} is damaged: restore it, or remove it if the data set is the one that the run was trained on`,
      );
    }
    return record as DatasetRecord;
  }

  /** The lines of metrics.jsonl; none where it is not there. @throws UserError when it is damaged */
  epochs(): EpochRecord[] {
    return readLines<EpochRecord>(this.metricsFile, isEpochRecord);
  }

  /** The lines of steps.jsonl; none where it is not there. @throws UserError when it is damaged */
  steps(): StepRecord[] {
    return readLines<StepRecord>(this.stepsFile);
  }

  /** The lines of masks.jsonl; none where it is not there. @throws UserError when it is damaged */
  masks(): MaskRecord[] {
    return readLines<MaskRecord>(this.masksFile);
  }

  /** The lines of divisions.jsonl; none where it is not there. @throws UserError when it is damaged */
  divisions(): DivisionRecord[] {
    return readLines<DivisionRecord>(this.divisionsFile);
  }

  /**
   * Forgets what was logged after `epoch`: a run that was cut off trains those epochs again. Of the epoch
   * that it was stopped in, `within`, the steps before stay, and the division.
   *
   * @param epoch counted from 0; -2 forgets the evaluation before training too
   * @throws UserError when a log is damaged or cannot be written
   */
  rewindTo(epoch: number, within: { epoch: number; step: number } | null = null): void {
    const begun = (record: { epoch: number; step?: number }) =>
      within !== null && record.epoch === within.epoch && (record.step ?? 0) < within.step;
    for (const file of [this.metricsFile, this.divisionsFile, this.stepsFile, this.masksFile]) {
      if (!existsSync(file)) continue;
      const stays = file === this.divisionsFile || file === this.stepsFile ? begun : () => false;
      const kept = readLines<{ epoch: number; step?: number }>(file).filter(
        (record) => record.epoch <= epoch || stays(record),
      );
      writeFileAtomic(file, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
    }
  }

  /**
   * What the last session of the run ended with; null while there is none.
   * @throws UserError when it cannot be read
   */
  summary(): Summary | null {
    if (!existsSync(this.summaryFile)) return null;
    const summary = readObject(this.summaryFile) as Omit<Summary, 'checkpoints'>;
    return { ...summary, checkpoints: { best: this.bestCheckpoint, last: this.lastCheckpoint } };
  }

  /** Writes summary.json. @throws UserError when it cannot be written */
  writeSummary(summary: Summary): void {
    const { best, last } = summary.checkpoints;
    const checkpoints = { best: relative(this.path, best), last: relative(this.path, last) };
    writeFileAtomic(this.summaryFile, `${JSON.stringify({ ...summary, checkpoints }, null, 2)}\n`);
  }
}

function isImageList(value: unknown): value is ImageList {
  if (!(value instanceof Object)) return false;
  const { paths, labels, classNames } = value as Partial<ImageList>;
  return (
    [paths, labels, classNames].every(Array.isArray) &&
    (paths ?? []).length === (labels ?? []).length &&
    (paths ?? []).every((path) => typeof path === 'string')
  );
}

/** The object that a JSON file holds. @throws UserError for anything else */
function readObject(file: string): object {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(
      code === 'ENOENT' ? `${file} is not there` : `${file} is damaged or cannot be read: ${message}`,
    );
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UserError(`${file} is damaged: expected an object, got ${JSON.stringify(value).slice(0, 40)}`);
}

/** A record of any log: each belongs to an epoch. */
function isRecord(value: unknown): value is { epoch: number } {
  return typeof value === 'object' && value !== null && Number.isSafeInteger((value as EpochRecord).epoch);
}

/** A line of metrics.jsonl has metrics by name, or null. */
function isEpochRecord(value: unknown): value is EpochRecord {
  if (!isRecord(value)) return false;
  const { metrics, validation } = value as Partial<EpochRecord>;
  const isMetrics = (set: unknown) =>
    typeof set === 'object' &&
    set !== null &&
    Object.values(set).every((number) => typeof number === 'number');
  return (
    ((metrics ?? null) === null || isMetrics(metrics)) && (validation === undefined || isMetrics(validation))
  );
}

/** The records of a JSON-lines file; a last line that was cut off is left out. */
function readLines<T>(file: string, isWhole: (value: unknown) => boolean = isRecord): T[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.flatMap((line, i) => {
    try {
      const value: unknown = JSON.parse(line);
      if (isWhole(value)) return [value as T];
    } catch {
      if (i === lines.length - 1) return [];
    }
    throw new UserError(`${file} is damaged in line ${i + 1}: restore it, or remove the line`);
  });
}
