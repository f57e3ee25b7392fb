import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { readLines, readObject } from './disk/read.js';
import { appendLine, removeLeftOvers, writeFileAtomic, writeProblem } from './disk/write.js';
import { UserError } from './error.js';
import { experimentOf } from './experiment/read-experiment.js';
import { listValues, type StoredExperiment, toStore } from './experiment/stored-experiment.js';
import { type Calibration, calibrationOf } from './records/calibration.js';
import { type DatasetRecord, datasetRecordOf } from './records/dataset-record.js';
import { type Division, divisionOf } from './records/division.js';
import { type EpochRecord, epochRecordOf } from './records/epoch.js';
import { type MaskRecord, maskRecordOf } from './records/masks.js';
import type { Settings } from './records/settings.js';
import { type StepRecord, stepRecordOf } from './records/step.js';
import { type Summary, summaryOf } from './records/summary.js';
import { readTestImages, type TestImages } from './records/test-images.js';
import { rewind } from './rewind.js';
import { RunFiles } from './run-files.js';
import { lockHolder, type RunningProcess, refuseIfRunning, takeLock } from './run-lock.js';

/** What stands in the config.json of transformers' and timm's models, and never in a run's. */
const OTHER_MODELS = ['model_type', 'architectures', 'architecture'];

/**
 * The folder of one run: config.json (the experiment), metrics.jsonl (an EpochRecord a line), divisions.jsonl (a
 * Division a line), checkpoints/{best,last,previous}.safetensors and, at the end, summary.json; and what a page shows:
 * steps.jsonl, masks.jsonl, test-images.json, embeddings.safetensors. docs/run-folder.md describes them.
 */
export class RunFolder extends RunFiles {
  private constructor(
    path: string,
    private readonly writes = true,
  ) {
    super(path);
  }

  /** The folder as a process knows it that trains with the one that writes it: nothing is written. */
  static follow(path: string): RunFolder {
    return new RunFolder(path, false);
  }

  /**
   * Makes the folder and its config.json.
   * @throws UserError when there is a run already, which is never written over, or the folder cannot be
   *   written
   */
  static create(path: string, experiment: object): RunFolder {
    const folder = new RunFolder(path);
    if (existsSync(folder.configFile)) {
      refuseIfRunning(folder.lockFile, path);
      throw new UserError(`there is a run in ${path} already: resume it, or choose another name`);
    }
    try {
      mkdirSync(join(folder.path, 'checkpoints'), { recursive: true });
      writeFileAtomic(folder.configFile, `${JSON.stringify(toStore(experiment), null, 2)}\n`);
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError(`the run folder ${path} cannot be written: ${(error as Error).message}`);
    }
    return folder;
  }

  /** The folder of a run that is there. @throws UserError when there is no run */
  static open(path: string): RunFolder {
    const folder = new RunFolder(path);
    if (!RunFolder.exists(path)) {
      throw new UserError(
        `there is no run in ${path}: expected a folder with a config.json that conquer train wrote`,
      );
    }
    return folder;
  }

  /** Whether there is a run in this folder, whole or damaged. A model of another program, or an export, has a config.json of its own kind. */
  static exists(path: string): boolean {
    let config: unknown;
    try {
      config = JSON.parse(readFileSync(new RunFolder(path).configFile, 'utf8'));
    } catch {
      return existsSync(new RunFolder(path).configFile);
    }
    return !OTHER_MODELS.some((key) => Object.hasOwn(Object(config), key));
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
    const unlock = takeLock(this.lockFile, this.path);
    for (const folder of [this.path, join(this.path, 'checkpoints')]) removeLeftOvers(folder);
    return unlock;
  }

  /**
   * Keeps the last checkpoint under the name of the previous one too, until a new one takes its place.
   * @throws UserError when it cannot be written
   */
  keepPreviousCheckpoint(): void {
    if (!this.writes || !existsSync(this.lastCheckpoint)) return;
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

  /** What config.json holds, whichever version wrote it. @throws UserError when it cannot be read, or is none */
  experiment(): StoredExperiment {
    return experimentOf(readObject(this.configFile), this.configFile);
  }

  /** The same by paths, such as `train.epochs`. @throws UserError when it cannot be read, or is none */
  settings(): Settings {
    return listValues(this.experiment());
  }

  /** For a run that goes on with more epochs. @throws UserError when it cannot be written */
  updateExperiment(experiment: object): void {
    this.write(this.configFile, `${JSON.stringify(toStore(experiment), null, 2)}\n`);
  }

  /** Adds a line to metrics.jsonl. @throws UserError when it cannot be written */
  appendEpoch(record: EpochRecord): void {
    this.append(this.metricsFile, record);
  }

  /** Adds a line to divisions.jsonl. @throws UserError when it cannot be written */
  appendDivision(division: Division): void {
    this.append(this.divisionsFile, { ...division, clusters: [...division.clusters] });
  }

  /** Adds a line to steps.jsonl. @throws UserError when it cannot be written */
  appendSteps(record: StepRecord): void {
    this.append(this.stepsFile, record, { durable: false });
  }

  /**
   * Adds a line to masks.jsonl, rounded to four digits after the point.
   * @param masks (K, D), as they are applied
   * @throws UserError when it cannot be written
   */
  appendMasks(epoch: number, masks: number[][]): void {
    const rounded = masks.map((mask) => mask.map((value) => Math.round(value * 1e4) / 1e4));
    this.append(this.masksFile, { epoch, masks: rounded });
  }

  /**
   * Adds a batch whose loss or gradient was not finite to not-finite.jsonl.
   * @throws UserError when it cannot be written
   */
  appendNotFinite(record: object): void {
    this.append(this.notFiniteFile, record);
  }

  /** Writes test-images.json. @throws UserError when it cannot be written */
  writeTestImages(images: TestImages): void {
    this.write(this.testImagesFile, `${JSON.stringify(images)}\n`);
  }

  /** @throws UserError when the run has none, or they are damaged */
  testImages(): TestImages {
    const images = readTestImages(readObject(this.testImagesFile));
    if (images === null)
      throw new UserError(
        `${this.testImagesFile} is damaged: expected lists of paths, labels and classNames`,
      );
    return images;
  }

  /** Writes dataset.json. @throws UserError when it cannot be written */
  writeDataset(record: DatasetRecord): void {
    this.write(this.datasetFile, `${JSON.stringify(record)}\n`);
  }

  /**
   * The data set that the run was trained on; null for a run of before it was recorded.
   * @throws UserError when the record is damaged
   */
  dataset(): DatasetRecord | null {
    if (!existsSync(this.datasetFile)) return null;
    const record = datasetRecordOf(readObject(this.datasetFile));
    if (record === null) {
      throw new UserError(
        `${this.datasetFile} is damaged: restore it, or remove it if the data set is the one that the run was trained on`,
      );
    }
    return record;
  }

  /** The lines of metrics.jsonl; none where it is not there. @throws UserError when it is damaged */
  epochs(): EpochRecord[] {
    return readLines(this.metricsFile, epochRecordOf);
  }

  /** The lines of steps.jsonl; none where it is not there. @throws UserError when it is damaged */
  steps(): StepRecord[] {
    return readLines(this.stepsFile, stepRecordOf);
  }

  /** The lines of masks.jsonl; none where it is not there. @throws UserError when it is damaged */
  masks(): MaskRecord[] {
    return readLines(this.masksFile, maskRecordOf);
  }

  /** The lines of divisions.jsonl; none where it is not there. @throws UserError when it is damaged */
  divisions(): Division[] {
    return readLines(this.divisionsFile, divisionOf);
  }

  /**
   * Forgets what was logged after `epoch`: a run that was cut off trains those epochs again. Of the epoch
   * that it was stopped in, `within`, the steps before stay, and the division.
   *
   * @param epoch counted from 0; -2 forgets the evaluation before training too
   * @throws UserError when a log is damaged or cannot be written
   */
  rewindTo(epoch: number, within: { epoch: number; step: number } | null = null): void {
    if (!this.writes) return;
    for (const file of [this.metricsFile, this.masksFile]) rewind(file, epoch, null);
    for (const file of [this.divisionsFile, this.stepsFile]) rewind(file, epoch, within);
  }

  /** What similarities of a model mean; null: not known, or of another one than `embedder`. */
  calibration(embedder: string): Calibration | null {
    if (!existsSync(this.calibrationFile)) return null;
    const calibration = calibrationOf(readObject(this.calibrationFile));
    return calibration?.embedder === embedder ? calibration : null;
  }

  /** @throws UserError when it cannot be written */
  writeCalibration(calibration: Calibration): void {
    this.write(this.calibrationFile, `${JSON.stringify(calibration, null, 1)}\n`);
  }

  /**
   * What the last session of the run ended with; null while there is none.
   * @throws UserError when it cannot be read
   */
  summary(): Summary | null {
    if (!existsSync(this.summaryFile)) return null;
    const summary = summaryOf(readObject(this.summaryFile));
    if (summary === null)
      throw new UserError(
        `${this.summaryFile} is damaged: expected a status, finished or stopped; remove it`,
      );
    return { ...summary, checkpoints: { best: this.bestCheckpoint, last: this.lastCheckpoint } };
  }

  /** Writes summary.json. @throws UserError when it cannot be written */
  writeSummary(summary: Summary): void {
    const { best, last } = summary.checkpoints;
    const checkpoints = { best: relative(this.path, best), last: relative(this.path, last) };
    this.write(
      this.summaryFile,
      `${JSON.stringify({ ...summary, experiment: toStore(summary.experiment), checkpoints }, null, 2)}\n`,
    );
  }

  private append(file: string, record: object, options?: { durable: boolean }): void {
    if (this.writes) appendLine(file, record, options);
  }

  private write(file: string, contents: string): void {
    if (this.writes) writeFileAtomic(file, contents);
  }
}
