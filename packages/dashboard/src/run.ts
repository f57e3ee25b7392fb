import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  bestEpoch,
  choosingMetricOf,
  DamagedFile,
  type Division,
  type EpochRecord,
  fileVersion,
  GrowingLines,
  type MaskRecord,
  openRegularFile,
  RunFolder,
  readJson,
  type StepRecord,
  type Summary,
  stepRecordOf,
  summaryOf,
} from '@conquer-dml/run';
import {
  type AppendEvent,
  type DashboardEvent,
  MAX_RECORDS,
  type MasksIndex,
  type MasksOfEpoch,
  type RunDetail,
  type RunSummary,
} from './api.js';
import { shownDivision, shownEpoch, shownMasks, shownSettings } from './bounds.js';
import { DivisionHistory } from './divisions.js';
import { maskFacts, masksOfEpoch } from './masks.js';
import { epochSteps, evenly, lastDivisions, thinnedRecords, thinnedSteps } from './thinning.js';

const MAX_CONFIG = 1 << 20;

/**
 * One run as its folder shows it. `poll` reads what is new; everything else answers from what was read. Steps,
 * divisions and masks are read from the first `open` on.
 */
export class Run {
  readonly folder: RunFolder;
  readonly masks: MaskRecord[] = [];
  records: EpochRecord[] = [];
  embeddingVersion: string | null = null;
  private mapVersions = '';
  private steps: StepRecord[] = [];
  private divisions = new DivisionHistory();
  private maskIndex: MasksIndex['epochs'] = [];
  private settings: RunSummary['settings'] = {};
  private ended: Pick<Summary, 'status'> | null = null;
  private running = false;
  private updated = 0;
  private opened = false;
  private opening: Promise<void> | null = null;
  private readonly damagedFiles = new Set<string>();
  private readonly files: {
    records: GrowingLines<EpochRecord>;
    steps: GrowingLines<StepRecord>;
    divisions: GrowingLines<Division>;
    masks: GrowingLines<MaskRecord>;
  };
  private polling: Promise<DashboardEvent[]> | null = null;
  private readonly untold: DashboardEvent[] = [];

  /** @throws UserError when there is no run */
  constructor(
    path: string,
    readonly id: string,
  ) {
    this.folder = RunFolder.open(path);
    this.files = {
      records: new GrowingLines(this.folder.metricsFile, shownEpoch),
      steps: new GrowingLines(this.folder.stepsFile, stepRecordOf),
      divisions: new GrowingLines(this.folder.divisionsFile, shownDivision),
      masks: new GrowingLines(this.folder.masksFile, shownMasks),
    };
  }

  /** From now on, all of its files are read. */
  open(): Promise<void> {
    this.opening ??= (async () => {
      await this.polling;
      this.opened = true;
      for (const event of await this.poll()) {
        if (event.type !== 'append') this.untold.push(event);
        // The rest is all there ever was, which nobody was told of before.
        else if (event.records) this.untold.push({ type: 'append', run: this.id, records: event.records });
      }
    })();
    return this.opening;
  }

  /** Reads what is new; with what came while it was opened. */
  async news(): Promise<DashboardEvent[]> {
    const events = await this.poll();
    return [...this.untold.splice(0), ...events];
  }

  /** Reads what is new, and says what that was. */
  poll(): Promise<DashboardEvent[]> {
    this.polling ??= this.read().finally(() => {
      this.polling = null;
    });
    return this.polling;
  }

  private async read(): Promise<DashboardEvent[]> {
    const { folder } = this;
    const settings = shownSettings(await this.json('config.json'));
    // A run always has some.
    if (settings === null || Object.keys(settings).length === 0) this.damagedFiles.add('config.json');
    this.settings = settings ?? {};
    this.ended = summaryOf(await this.json('summary.json'));
    this.running = await this.isRunning();
    await this.readUpdated();

    const event: AppendEvent = { type: 'append', run: this.id };
    const records = await this.files.records.poll();
    if (records.reset) this.records = [];
    for (const record of records.added) {
      // Of an epoch that was logged twice the later line counts, as when it is resumed.
      const again = this.records.findLastIndex(({ epoch }) => epoch <= record.epoch);
      const same = this.records[again]?.epoch === record.epoch;
      this.records.splice(same ? again : again + 1, same ? 1 : 0, record);
    }
    if (records.added.length > 0) event.records = { at: records.at, lines: records.added };
    let reset = records.reset;
    if (this.opened) reset = (await this.readDetails(event)) || reset;

    const events: DashboardEvent[] = [];
    if (reset) events.push({ type: 'reset', run: this.id });
    else if (Object.keys(event).length > 2) events.push(event);
    const version = await fileVersion(folder.embeddingsFile);
    if (version !== this.embeddingVersion && version !== null)
      events.push({ type: 'embedding', run: this.id, version });
    this.embeddingVersion = version;
    const names = (await readdir(folder.path))
      .filter((name) => /^map-[\w-]+\.safetensors$/.test(name))
      .sort();
    const versions = names.map(async (name) => `${name} ${await fileVersion(join(folder.path, name))}`);
    const maps = (await Promise.all(versions)).join();
    if (maps !== this.mapVersions) events.push({ type: 'map', run: this.id });
    this.mapVersions = maps;
    return events;
  }

  private async readDetails(event: AppendEvent): Promise<boolean> {
    const steps = await this.files.steps.poll();
    if (steps.reset) this.steps = [];
    for (const step of steps.added) this.steps.push(step);
    if (steps.added.length > 0) event.steps = { at: steps.at, lines: steps.added };

    const divisions = await this.files.divisions.poll();
    if (divisions.reset) this.divisions = new DivisionHistory();
    const views = divisions.added.map((division) => this.divisions.add(division));
    if (views.length > 0) event.divisions = { at: divisions.at, lines: views };

    const masks = await this.files.masks.poll();
    if (masks.reset) this.masks.length = this.maskIndex.length = 0;
    for (const line of masks.added) {
      this.masks.push(line);
      this.maskIndex.push(maskFacts(line));
    }
    if (masks.added.length > 0) event.masks = { at: masks.at, epochs: masks.added.map(({ epoch }) => epoch) };
    return steps.reset || divisions.reset || masks.reset;
  }

  private async json(name: string): Promise<unknown> {
    try {
      const value = await readJson(join(this.folder.path, name), MAX_CONFIG);
      this.damagedFiles.delete(name);
      return value;
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.damagedFiles.add(name);
      return null;
    }
  }

  private async isRunning(): Promise<boolean> {
    // RunFolder reads the file whole: only a small, regular one is left to it.
    const file = await openRegularFile(join(this.folder.path, 'running.json'));
    if (file === null) return false;
    const { size } = await file.stat();
    await file.close();
    return size < 10_000 && this.folder.runningProcess() !== null;
  }

  private async readUpdated(): Promise<void> {
    const { path, metricsFile, stepsFile, summaryFile } = this.folder;
    const times = [join(path, 'config.json'), metricsFile, stepsFile, summaryFile].map((file) =>
      stat(file).then(
        ({ mtimeMs }) => Math.round(mtimeMs),
        () => 0,
      ),
    );
    this.updated = Math.max(...(await Promise.all(times)));
  }

  private get status(): RunSummary['status'] {
    if (this.damagedFiles.has('config.json')) return 'damaged';
    if ('index.dim' in this.settings) return 'index';
    if (this.running) return 'running';
    if (this.of !== null && this.trained >= this.of) return 'finished';
    // A run that has ended, and was given more epochs since.
    return this.ended?.status === 'stopped' ? 'stopped' : 'cut off';
  }

  private get of(): number | null {
    return typeof this.settings['train.epochs'] === 'number' ? this.settings['train.epochs'] : null;
  }

  private get trained(): number {
    return this.records.reduce((n, { epoch }) => n + Number(epoch >= 0), 0);
  }

  summary(): RunSummary {
    const problems = [...this.damagedFiles].map((name) => `${name} cannot be read`);
    const names = {
      records: 'metrics.jsonl',
      steps: 'steps.jsonl',
      divisions: 'divisions.jsonl',
      masks: 'masks.jsonl',
    };
    for (const key of ['records', 'steps', 'divisions', 'masks'] as const) {
      const { damaged } = this.files[key];
      if (damaged > 0)
        problems.push(
          `${names[key]}: ${damaged} damaged ${damaged === 1 ? 'line is' : 'lines are'} left out`,
        );
    }
    return {
      id: this.id,
      name: this.id,
      status: this.status,
      epochs: this.trained,
      of: this.of,
      best: bestEpoch(this.records, choosingMetricOf(this.settings)),
      settings: this.settings,
      updated: this.updated,
      problems,
    };
  }

  async detail(): Promise<RunDetail> {
    await this.open();
    const { records, steps, divisions, masks } = this.files;
    const summary = this.summary();
    return {
      ...summary,
      records: thinnedRecords(this.records, summary.best?.epoch ?? null),
      steps: thinnedSteps(this.steps),
      epochSteps: epochSteps(
        new Map(
          [...this.records, ...this.steps].flatMap(({ epoch, steps }) =>
            epoch >= 0 && steps ? [[epoch, steps]] : [],
          ),
        ),
      ),
      ...lastDivisions(this.divisions.views, this.divisions.flows),
      tree: this.divisions.tree(),
      lines: {
        records: records.count,
        steps: steps.count,
        divisions: divisions.count,
        masks: masks.count,
      },
      has: { masks: this.masks.length > 0, embedding: this.embeddingVersion !== null },
    };
  }

  async masksIndex(): Promise<MasksIndex> {
    await this.open();
    return { epochs: evenly(this.maskIndex, MAX_RECORDS) };
  }

  async masksOf(epoch: number): Promise<MasksOfEpoch | null> {
    await this.open();
    const line = this.masks.findLast((masks) => masks.epoch === epoch);
    return line ? masksOfEpoch(line) : null;
  }
}
