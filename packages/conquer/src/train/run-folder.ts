import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import type { Division } from '../divide/division.js';
import { UserError } from '../error.js';
import type { Metrics } from '../evaluate/evaluate.js';
import type { EpochProfile } from './profile.js';
import type { StepRecord } from './step-log.js';

/** Settings by their long option names, as the command line resolved them. */
export type Settings = Record<string, string | number | boolean | null>;

/** One line of metrics.jsonl: what one epoch did. Epoch -1 is the network before training: metrics only. */
export interface EpochRecord {
  epoch: number;
  /** Retrieval and clustering on the unseen classes, fractions by name; null where the epoch was not evaluated. */
  metrics: Metrics | null;
  /** The same on the classes that were set aside for validation, where some were. */
  validation?: Metrics;
  /** Means over the epoch's steps. */
  metricLoss?: number;
  maskLoss?: number;
  steps?: number;
  /** Steps without a single tuple, which trained nothing. */
  skipped?: number;
  images?: number;
  numLearners?: number;
  fullEmbedding?: boolean;
  backboneFrozen?: boolean;
  /** Learning rate by parameter group, at the epoch's last step. */
  learningRates?: Record<string, number>;
  /** Wall-clock seconds of the epoch's parts. */
  seconds: { divide?: number; train?: number; evaluate: number };
  /** Where the time went, for a run with `--profile`. */
  profile?: EpochProfile;
}

/** The epoch of the highest R@1: on the validation classes where there are some, else on the test classes. */
export interface BestEpoch {
  epoch: number;
  /** On the test classes. */
  metrics: Metrics;
  validation?: Metrics;
}

/** What a line of metrics.jsonl is compared by for the best epoch. */
export function scoreOf({ metrics, validation }: Pick<EpochRecord, 'metrics' | 'validation'>): number {
  return (validation ?? metrics)?.['R@1'] ?? 0;
}

/** test-images.json: the images of embeddings.safetensors, in its order. */
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

/** A line of masks.jsonl: the learners' masks at the end of an epoch, as they are applied. (K, D) */
export interface MaskRecord {
  epoch: number;
  masks: number[][];
}

/** running.json: the process that trains the run; the file goes when it ends. */
export interface RunningProcess {
  pid: number;
  /** ISO 8601. */
  since: string;
}

/** One line of divisions.jsonl. */
export type DivisionRecord = Omit<Division, 'clusters'> & { clusters: number[] };

/** summary.json, written when a run ends. `docs/run-folder.md` describes it. */
export interface Summary {
  status: 'finished' | 'stopped';
  settings: Settings;
  epochs: number;
  /** `chosenOn` 'test': on the very classes of `metrics`, so an optimistic number; say so where you quote it. */
  best: (BestEpoch & { chosenOn: 'test' | 'validation' }) | null;
  last: { epoch: number; metrics: Metrics } | null;
  untrained: Metrics | null;
  /** Wall-clock seconds by phase, over all sessions of the run. */
  seconds: { divide: number; train: number; evaluate: number; total: number };
  /** Training images a second, while training. */
  imagesPerSecond: number;
  checkpoints: { best: string; last: string };
}

/** Writes a whole file or nothing: a reader never sees half of it. */
export function writeFileAtomic(path: string, contents: string): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

/**
 * The folder of one run: config.json (settings), metrics.jsonl (an EpochRecord a line), divisions.jsonl (a
 * DivisionRecord a line), checkpoints/{best,last}.safetensors and, at the end, summary.json; and what a page shows:
 * steps.jsonl, masks.jsonl, test-images.json, embeddings.safetensors. docs/run-folder.md describes them.
 */
export class RunFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @throws UserError when there is a run already: it is never written over. */
  static create(path: string, settings: Settings): RunFolder {
    const folder = new RunFolder(resolve(path));
    if (existsSync(folder.configFile)) {
      throw new UserError(
        `there is a run in ${path} already: go on with it (--resume), or choose another name (--name)`,
      );
    }
    try {
      mkdirSync(join(folder.path, 'checkpoints'), { recursive: true });
      writeFileAtomic(folder.configFile, `${JSON.stringify(settings, null, 2)}\n`);
    } catch (error) {
      throw new UserError(`the run folder ${path} cannot be written: ${(error as Error).message}`);
    }
    return folder;
  }

  /** @throws UserError when there is no run. */
  static open(path: string): RunFolder {
    const folder = new RunFolder(resolve(path));
    if (!existsSync(folder.configFile)) {
      throw new UserError(
        `there is no run in ${path}: expected a folder with a config.json that conquer train wrote`,
      );
    }
    return folder;
  }

  static exists(path: string): boolean {
    return existsSync(new RunFolder(resolve(path)).configFile);
  }

  private get configFile(): string {
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
  get embeddingsFile(): string {
    return join(this.path, 'embeddings.safetensors');
  }
  get summaryFile(): string {
    return join(this.path, 'summary.json');
  }
  get lastCheckpoint(): string {
    return join(this.path, 'checkpoints', 'last.safetensors');
  }
  get bestCheckpoint(): string {
    return join(this.path, 'checkpoints', 'best.safetensors');
  }

  /** Who is training this run, or null. */
  runningProcess(): RunningProcess | null {
    if (!existsSync(this.lockFile)) return null;
    let running: RunningProcess;
    try {
      running = JSON.parse(readFileSync(this.lockFile, 'utf8'));
      process.kill(running.pid, 0); // throws unless the process lives
    } catch (error) {
      // EPERM: it lives, and belongs to somebody else.
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
      running = JSON.parse(readFileSync(this.lockFile, 'utf8'));
    }
    return running;
  }

  /**
   * Takes the run for this process until the returned function is called. A lock that a killed process left
   * behind is taken over.
   *
   * @throws UserError when another process has it
   */
  lock(): () => void {
    const running = this.runningProcess();
    if (running !== null && running.pid !== process.pid) {
      throw new UserError(
        `${this.path} is being trained by process ${running.pid} since ${running.since}: wait for it, or choose another name (--name)`,
      );
    }
    const own: RunningProcess = { pid: process.pid, since: new Date().toISOString() };
    writeFileAtomic(this.lockFile, JSON.stringify(own));
    return () => rmSync(this.lockFile, { force: true });
  }

  settings(): Settings {
    try {
      return JSON.parse(readFileSync(this.configFile, 'utf8'));
    } catch (error) {
      throw new UserError(`${this.configFile} cannot be read: ${(error as Error).message}`);
    }
  }

  /** For a run that goes on with more epochs. */
  updateSettings(settings: Settings): void {
    writeFileAtomic(this.configFile, `${JSON.stringify(settings, null, 2)}\n`);
  }

  appendEpoch(record: EpochRecord): void {
    appendFileSync(this.metricsFile, `${JSON.stringify(record)}\n`);
  }

  appendDivision(division: Division): void {
    const record: DivisionRecord = { ...division, clusters: [...division.clusters] };
    appendFileSync(this.divisionsFile, `${JSON.stringify(record)}\n`);
  }

  appendSteps(record: StepRecord): void {
    appendFileSync(this.stepsFile, `${JSON.stringify(record)}\n`);
  }

  /** @param masks (K, D), as they are applied */
  appendMasks(epoch: number, masks: number[][]): void {
    const rounded = masks.map((mask) => mask.map((value) => Math.round(value * 1e4) / 1e4));
    const record: MaskRecord = { epoch, masks: rounded };
    appendFileSync(this.masksFile, `${JSON.stringify(record)}\n`);
  }

  writeTestImages(images: TestImages): void {
    writeFileAtomic(this.testImagesFile, `${JSON.stringify(images)}\n`);
  }

  epochs(): EpochRecord[] {
    return readLines<EpochRecord>(this.metricsFile);
  }

  steps(): StepRecord[] {
    return readLines<StepRecord>(this.stepsFile);
  }

  masks(): MaskRecord[] {
    return readLines<MaskRecord>(this.masksFile);
  }

  divisions(): DivisionRecord[] {
    return readLines<DivisionRecord>(this.divisionsFile);
  }

  /** Forgets what was logged after `epoch`: a run that was cut off trains those epochs again. */
  rewindTo(epoch: number): void {
    for (const file of [this.metricsFile, this.divisionsFile, this.stepsFile, this.masksFile]) {
      if (!existsSync(file)) continue;
      const kept = readLines<{ epoch: number }>(file).filter((record) => record.epoch <= epoch);
      writeFileAtomic(file, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
    }
  }

  /** What the last session of the run ended with; null while there is none. */
  summary(): Summary | null {
    if (!existsSync(this.summaryFile)) return null;
    try {
      return JSON.parse(readFileSync(this.summaryFile, 'utf8'));
    } catch (error) {
      throw new UserError(`${this.summaryFile} cannot be read: ${(error as Error).message}`);
    }
  }

  writeSummary(summary: Summary): void {
    writeFileAtomic(this.summaryFile, `${JSON.stringify(summary, null, 2)}\n`);
  }
}

/** The records of a JSON-lines file; a last line that was cut off is left out. */
function readLines<T>(file: string): T[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.flatMap((line, i) => {
    try {
      return [JSON.parse(line) as T];
    } catch {
      if (i === lines.length - 1) return [];
      throw new UserError(`${file} is damaged in line ${i + 1}: restore it, or remove the line`);
    }
  });
}
