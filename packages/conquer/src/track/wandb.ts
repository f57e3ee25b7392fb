import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { builtModule, type Summary, writeFileAtomic } from '@conquer-dml/run';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import type { Report } from './report.js';
import { placeOf, type Scalars, scalarsOf } from './scalars.js';
import type { RunEnd, TrackedRun, Tracker, TrackerContext } from './tracker.js';
import type { WandbAnswer, WandbRequest, WandbStart } from './wandb-worker.js';

const options = z.strictObject({
  project: z.string().describe('PROJECT or ENTITY/PROJECT; needs WANDB_API_KEY'),
});

export interface WeightsAndBiasesOptions extends z.input<typeof options> {
  /** Default `$WANDB_BASE_URL`, or https://api.wandb.ai. */
  baseUrl?: string;
  /** Default `$WANDB_API_KEY`. */
  apiKey?: string;
  /** Milliseconds that the server may take for the beginning and for the end; default 30,000. */
  timeout?: number;
}

/** wandb.json in the run's folder. */
interface Known {
  project: string;
  id: string;
  /** The folder it is of: a copy of it is another run. */
  folder?: string;
  /** Lines of history that the server has at the most. */
  lines?: number;
  /** A digest of all that the server has; not there while a run goes on. */
  told?: string;
}

/** Lines for which wandb.json is written anew at once. */
const RESERVE = 100;

/**
 * Follows a run on Weights & Biases through @wandb/sdk, in a thread of its own. A resumed run goes on under its id, which
 * is in the run folder's wandb.json, and is told from its beginning, as the SDK writes a history anew: line by line over
 * the one before, of which lines beyond the new end are made empty.
 */
export class WeightsAndBiases implements Tracker {
  readonly name = 'Weights & Biases';
  private readonly project: string;
  private readonly apiKey: string;
  private readonly baseUrl: string;
  private readonly timeout: number;
  private worker: Worker | null = null;
  private ended: Error | null = null;
  private waiting: { kind: WandbAnswer['kind']; resolve: () => void; reject: (error: Error) => void } | null =
    null;
  /** History has a line for each step, and steps only grow. */
  private step = -1;
  /** Of all that was said. */
  private readonly digest = createHash('sha256');
  private run: TrackedRun | null = null;
  private id = '';
  private known: Known | null = null;
  /** Lines of history said, and for how many wandb.json says that there may be some. */
  private lines = 0;
  private reserved = 0;

  /** @throws OptionError without an API key, or for an empty project */
  constructor({ baseUrl, apiKey, timeout = 30_000, ...given }: WeightsAndBiasesOptions) {
    this.project = withDefaults('WeightsAndBiases', options, given).project;
    if (!/^([\w.-]+\/)?[\w.-]+$/.test(this.project))
      throw new OptionError('project', `expected PROJECT or ENTITY/PROJECT, got '${this.project}'`);
    const environment = fromEnvironment();
    this.apiKey = apiKey ?? environment.apiKey;
    this.baseUrl = (baseUrl ?? environment.baseUrl).replace(/\/+$/, '');
    this.timeout = timeout;
    if (this.apiKey === '')
      throw new OptionError(
        'project',
        'the key of your account is needed: set WANDB_API_KEY; or train without, and let conquer sync tell of the run later',
      );
  }

  async start(run: TrackedRun): Promise<void> {
    this.run = run;
    this.known = this.knownRun();
    this.digest.update(JSON.stringify(run.settings));
    // What is told afterwards may be known there already: the end will show.
    if (!run.live) return;
    await this.connect();
    await this.send(run.past.map((report) => this.line(dataOf(report), report.step)));
  }

  private get file(): string {
    return join(this.run?.folder.path ?? '', 'wandb.json');
  }

  /** The run folder's wandb.json; null where it is of another project, or of the folder that this one is a copy of. */
  private knownRun(): Known | null {
    const known = existsSync(this.file) ? readKnown(this.file) : null;
    if (known?.project !== this.project) return null;
    const { folder = this.run?.folder.path, id } = known;
    const other = join(folder ?? '', 'wandb.json');
    const copied = folder !== this.run?.folder.path && existsSync(other) && readKnown(other).id === id;
    return copied ? null : known;
  }

  private remember(lines: number, told?: string): void {
    this.reserved = lines;
    const { project } = this;
    const known: Known = { project, id: this.id, folder: this.run?.folder.path ?? '', lines };
    writeFileAtomic(this.file, `${JSON.stringify({ ...known, ...(told !== undefined && { told }) })}\n`);
  }

  private async connect(): Promise<void> {
    const { name = '', settings = {} } = this.run ?? {};
    const [entity, project] = this.project.includes('/')
      ? (this.project.split('/') as [string, string])
      : ['', this.project];
    this.id = this.known?.id ?? randomBytes(4).toString('hex');
    const workerData: WandbStart = {
      project,
      entity,
      id: this.id,
      name,
      config: settings,
      settings: { apiKey: this.apiKey, baseUrl: this.baseUrl },
    };
    const module = builtModule('./wandb-worker.js', import.meta.url);
    this.worker = new Worker(module, { workerData, stdout: true, stderr: true });
    this.worker.unref();
    this.worker.on('message', (answer: WandbAnswer) => {
      if (answer.kind === 'problem') this.stop(new Error(answer.text));
      else if (this.waiting?.kind === answer.kind) {
        this.waiting.resolve();
        this.waiting = null;
      }
    });
    this.worker.on('error', (error) => this.stop(error));
    await this.answer('ready');
    this.remember(this.known?.lines ?? 0);
  }

  async report(report: Report): Promise<void> {
    await this.send([this.line(dataOf(report), report.step)]);
  }

  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    const { live = true, past = [] } = this.run ?? {};
    const rest = live ? [] : past.map((report) => this.line(dataOf(report), report.step));
    if (summary?.best) {
      const best = Object.entries(summary.best.metrics).map(([name, value]) => [`best/${name}`, value]);
      rest.push(this.line(Object.fromEntries(best), this.step + 1));
    }
    const told = this.digest.update(how).digest('hex');
    if (!live) {
      if (this.known?.told === told) return;
      await this.connect();
    }
    const lines = this.lines;
    while (this.lines < (this.known?.lines ?? 0)) rest.push(this.line({}, this.step + 1));
    await this.send(rest);
    this.post({ kind: 'finish', code: how === 'finished' ? 0 : 1 });
    await this.answer('finished');
    await this.worker?.terminate();
    this.remember(lines, told);
  }

  private line(data: Scalars, step: number): WandbRequest {
    this.step = Math.max(this.step + 1, step);
    this.lines++;
    if (Object.keys(data).length > 0) this.digest.update(JSON.stringify([data, this.step]));
    return { kind: 'log', data, step: this.step };
  }

  private async send(lines: readonly WandbRequest[]): Promise<void> {
    if (this.lines > this.reserved) this.remember(this.lines + RESERVE);
    for (const [i, line] of lines.entries()) {
      this.post(line);
      // The run goes on meanwhile.
      if (i % 1000 === 999) await nextTurn();
    }
  }

  private post(request: WandbRequest): void {
    if (this.ended) throw this.ended;
    this.worker?.postMessage(request);
  }

  private answer(kind: WandbAnswer['kind']): Promise<void> {
    const { timeout } = this;
    return new Promise((resolve, reject) => {
      if (this.ended) {
        reject(this.ended);
        return;
      }
      const timer = setTimeout(
        () => this.stop(new Error(`the server has not answered after ${timeout / 1000} s`)),
        timeout,
      );
      const settled = (settle: () => void) => () => {
        clearTimeout(timer);
        settle();
      };
      this.waiting = {
        kind,
        resolve: settled(resolve),
        reject: (error) => settled(() => reject(error))(),
      };
    });
  }

  private stop(error: Error): void {
    this.ended ??= error;
    this.waiting?.reject(this.ended);
    this.waiting = null;
    void this.worker?.terminate();
  }
}

function dataOf(report: Report): Scalars {
  const scalars = scalarsOf(report);
  return report.kind === 'steps' ? scalars : { ...scalars, epoch: placeOf(report) };
}

function readKnown(file: string): Known {
  try {
    const known = JSON.parse(readFileSync(file, 'utf8')) as Partial<Known> | null;
    if (typeof known?.project === 'string' && typeof known.id === 'string') return known as Known;
  } catch {
    // Said below.
  }
  throw new Error(`${file} is damaged: restore it, or remove it to begin a new run on the server`);
}

/** What the SDK's other clients read as well: where the server is, and the key of one's account there. */
function fromEnvironment(): { apiKey: string; baseUrl: string } {
  const { WANDB_API_KEY: apiKey = '', WANDB_BASE_URL: baseUrl } = process.env;
  return { apiKey, baseUrl: baseUrl || 'https://api.wandb.ai' };
}

export const wandb = part({
  name: 'wandb',
  help: 'follow the run on Weights & Biases',
  options,
  build: (options, _: TrackerContext): Tracker => new WeightsAndBiases(options),
});
