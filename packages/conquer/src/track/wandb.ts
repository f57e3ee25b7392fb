import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Division } from '../divide/division.js';
import { UserError } from '../error.js';
import { type EpochRecord, type Summary, writeFileAtomic } from '../train/run-folder.js';
import type { StepRecord } from '../train/step-log.js';
import { divisionScalars, epochScalars, type Scalars, stepScalars } from './scalars.js';
import type { RunEnd, TrackedRun, Tracker } from './tracker.js';
import type { WandbAnswer, WandbRequest, WandbStart } from './wandb-worker.js';

export interface WeightsAndBiasesOptions {
  /** PROJECT, or ENTITY/PROJECT. */
  project: string;
  /** Default `$WANDB_BASE_URL`, or https://api.wandb.ai. */
  baseUrl?: string;
  /** Default `$WANDB_API_KEY`. */
  apiKey?: string;
  /** Milliseconds that the server may take for the beginning and for the end; default 30,000. */
  timeout?: number;
}

/**
 * Follows a run on Weights & Biases through @wandb/sdk, in a thread of its own. A resumed run goes on under its id, which
 * is in the run folder's wandb.json, and is told from its beginning, as the SDK writes a history anew.
 */
export class WeightsAndBiases implements Tracker {
  readonly name = 'Weights & Biases';
  readonly retellsPast = true;
  private worker: Worker | null = null;
  private ended: Error | null = null;
  private waiting: { kind: WandbAnswer['kind']; resolve: () => void; reject: (error: Error) => void } | null =
    null;
  /** History has a line for each step, and steps only grow. */
  private step = -1;

  /** @throws UserError without an API key, or for an empty project */
  constructor(private readonly options: WeightsAndBiasesOptions) {
    if (!/^([\w.-]+\/)?[\w.-]+$/.test(options.project))
      throw new UserError(`--wandb: expected PROJECT or ENTITY/PROJECT, got '${options.project}'`);
    if (!this.apiKey)
      throw new UserError(
        '--wandb needs the key of your account: set WANDB_API_KEY; or train without, and use conquer sync RUN --wandb later',
      );
  }

  private get apiKey(): string {
    return this.options.apiKey ?? process.env.WANDB_API_KEY ?? '';
  }

  async start({ name, folder, settings }: TrackedRun): Promise<void> {
    const [entity, project] = this.options.project.includes('/')
      ? (this.options.project.split('/') as [string, string])
      : ['', this.options.project];
    const file = join(folder.path, 'wandb.json');
    const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {};
    const id =
      known.project === this.options.project && typeof known.id === 'string'
        ? known.id
        : randomBytes(4).toString('hex');
    const baseUrl = this.options.baseUrl ?? process.env.WANDB_BASE_URL ?? 'https://api.wandb.ai';
    const workerData: WandbStart = {
      project,
      entity,
      id,
      name,
      config: settings,
      settings: { apiKey: this.apiKey, baseUrl: baseUrl.replace(/\/+$/, '') },
    };
    const built = import.meta.url.endsWith('.ts') ? '../../dist/track/wandb-worker.js' : './wandb-worker.js';
    this.worker = new Worker(new URL(built, import.meta.url), { workerData, stdout: true, stderr: true });
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
    writeFileAtomic(file, `${JSON.stringify({ project: this.options.project, id })}\n`);
  }

  async steps(record: StepRecord, step: number): Promise<void> {
    this.log(stepScalars(record), step);
  }

  async division(division: Omit<Division, 'clusters'>, step: number): Promise<void> {
    this.log({ ...divisionScalars(division), epoch: division.epoch }, step);
  }

  async epoch(record: EpochRecord, step: number): Promise<void> {
    this.log({ ...epochScalars(record), epoch: record.epoch + 1 }, step);
  }

  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    if (summary?.best) {
      const best = Object.entries(summary.best.metrics).map(([name, value]) => [`best/${name}`, value]);
      this.log(Object.fromEntries(best), this.step + 1);
    }
    this.send({ kind: 'finish', code: how === 'finished' ? 0 : 1 });
    await this.answer('finished');
    await this.worker?.terminate();
  }

  private log(data: Scalars, step: number): void {
    this.step = Math.max(this.step + 1, step);
    this.send({ kind: 'log', data, step: this.step });
  }

  private send(request: WandbRequest): void {
    if (this.ended) throw this.ended;
    this.worker?.postMessage(request);
  }

  private answer(kind: WandbAnswer['kind']): Promise<void> {
    const { timeout = 30_000 } = this.options;
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
