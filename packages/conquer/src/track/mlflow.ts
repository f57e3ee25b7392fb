import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Division } from '../divide/division.js';
import { UserError } from '../error.js';
import { type EpochRecord, type Settings, type Summary, writeFileAtomic } from '../train/run-folder.js';
import type { StepRecord } from '../train/step-log.js';
import { divisionScalars, epochScalars, type Scalars, stepScalars } from './scalars.js';
import type { RunEnd, TrackedRun, Tracker } from './tracker.js';

export interface MLflowOptions {
  /** Of the tracking server, such as http://localhost:5000. */
  url: string;
  /** Default `$MLFLOW_EXPERIMENT_NAME`, or 'conquer'. */
  experiment?: string;
  /** Milliseconds that a request may take; default 10,000. */
  timeout?: number;
}

/** What the server takes in one request of log-batch. */
const MOST_METRICS = 1000;
const MOST_PARAMS = 100;
/** Letters of a parameter's value that every server takes. */
const LONGEST_PARAM = 500;

const statuses: Record<RunEnd, string> = { finished: 'FINISHED', stopped: 'KILLED', failed: 'FAILED' };

/** R@1 is R_at_1: letters, digits and _-./ and spaces are allowed. */
const metricName = (name: string) => name.replaceAll('@', '_at_').replaceAll(/[^\w\-./ ]/g, '_');

/**
 * Follows a run on an MLflow server through its REST interface (version 2.0 of the API, which MLflow 1 to 3 have). A
 * resumed run goes on in the server's run, whose id is in the run folder's mlflow.json. Credentials as MLflow's own
 * clients take them: $MLFLOW_TRACKING_TOKEN, or $MLFLOW_TRACKING_USERNAME and $MLFLOW_TRACKING_PASSWORD.
 */
export class MLflow implements Tracker {
  readonly name = 'MLflow';
  private readonly url: string;
  private readonly experiment: string;
  private readonly timeout: number;
  private runId = '';

  /** @throws UserError for what is no address, or one that holds a password */
  constructor({ url, experiment, timeout = 10_000 }: MLflowOptions) {
    this.url = checkedUrl(url);
    this.experiment = experiment ?? (process.env.MLFLOW_EXPERIMENT_NAME || 'conquer');
    this.timeout = timeout;
  }

  async start({ name, folder, settings }: TrackedRun): Promise<void> {
    const file = join(folder.path, 'mlflow.json');
    const known = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {};
    if (known.url === this.url && typeof known.runId === 'string') {
      this.runId = known.runId;
      await this.post('runs/update', { run_id: this.runId, status: 'RUNNING' });
      return;
    }
    const { run } = await this.post<{ run: { info: { run_id: string } } }>('runs/create', {
      experiment_id: await this.experimentId(),
      run_name: name,
      start_time: Date.now(),
      tags: [
        { key: 'mlflow.runName', value: name },
        { key: 'mlflow.source.name', value: 'conquer train' },
        { key: 'conquer.run', value: folder.path },
      ],
    });
    this.runId = run.info.run_id;
    writeFileAtomic(file, `${JSON.stringify({ url: this.url, runId: this.runId })}\n`);
    await this.params(settings);
  }

  steps(record: StepRecord, step: number): Promise<void> {
    return this.metrics(stepScalars(record), step);
  }

  division(division: Omit<Division, 'clusters'>): Promise<void> {
    return this.metrics(divisionScalars(division), division.epoch);
  }

  /** At step 0 the network before training, then by epochs. */
  epoch(record: EpochRecord): Promise<void> {
    return this.metrics(epochScalars(record), record.epoch + 1);
  }

  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    if (summary?.best) {
      const { epoch, metrics } = summary.best;
      const best = Object.entries(metrics).map(([name, value]) => [`best/${name}`, value]);
      await this.metrics(Object.fromEntries(best), epoch + 1);
    }
    await this.post('runs/update', {
      run_id: this.runId,
      status: statuses[how],
      end_time: Date.now(),
    });
  }

  private async experimentId(): Promise<string> {
    const query = `experiment_name=${encodeURIComponent(this.experiment)}`;
    const found = await this.request(`experiments/get-by-name?${query}`, { method: 'GET' });
    if (found.ok) {
      const { experiment } = (await found.json()) as { experiment: { experiment_id: string } };
      return experiment.experiment_id;
    }
    if (found.status !== 404) throw await refusal(found, 'experiments/get-by-name');
    const made = await this.post<{ experiment_id: string }>('experiments/create', { name: this.experiment });
    return made.experiment_id;
  }

  private async params(settings: Settings): Promise<void> {
    const params = Object.entries(settings)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => ({ key, value: String(value).slice(0, LONGEST_PARAM) }));
    for (let start = 0; start < params.length; start += MOST_PARAMS)
      await this.post('runs/log-batch', {
        run_id: this.runId,
        params: params.slice(start, start + MOST_PARAMS),
      });
  }

  private async metrics(scalars: Scalars, step: number): Promise<void> {
    const timestamp = Date.now();
    const metrics = Object.entries(scalars).map(([name, value]) => ({
      key: metricName(name),
      value,
      timestamp,
      step,
    }));
    for (let start = 0; start < metrics.length; start += MOST_METRICS)
      await this.post('runs/log-batch', {
        run_id: this.runId,
        metrics: metrics.slice(start, start + MOST_METRICS),
      });
  }

  private async post<Answer = unknown>(path: string, body: object): Promise<Answer> {
    const response = await this.request(path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw await refusal(response, path);
    return (await response.json()) as Answer;
  }

  private async request(path: string, options: { method: string; body?: string }): Promise<Response> {
    const headers = { 'Content-Type': 'application/json', ...authorization() };
    try {
      return await fetch(`${this.url}/api/2.0/mlflow/${path}`, {
        ...options,
        headers,
        signal: AbortSignal.timeout(this.timeout),
      });
    } catch (error) {
      const { cause, message } = error as Error;
      throw new Error(`${this.url} does not answer: ${cause instanceof Error ? cause.message : message}`);
    }
  }
}

function checkedUrl(text: string): string {
  const url = URL.parse?.(text) ?? (URL.canParse(text) ? new URL(text) : null);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new UserError(`--mlflow: expected an address such as http://localhost:5000, got '${text}'`);
  if (url.username !== '' || url.password !== '')
    throw new UserError(
      '--mlflow: leave name and password out of the address, which is logged: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD',
    );
  return text.replace(/\/+$/, '');
}

function authorization(): Record<string, string> {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user } = process.env;
  const { MLFLOW_TRACKING_PASSWORD: password = '' } = process.env;
  if (token) return { Authorization: `Bearer ${token}` };
  if (user) return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
  return {};
}

async function refusal(response: Response, path: string): Promise<Error> {
  const text = await response.text().catch(() => '');
  let reason = text.slice(0, 200);
  try {
    reason = (JSON.parse(text) as { message?: string }).message ?? reason;
  } catch {
    // Not MLflow's own answer.
  }
  return new Error(`${path} was refused with ${response.status}: ${reason.replaceAll('\n', ' ')}`);
}
