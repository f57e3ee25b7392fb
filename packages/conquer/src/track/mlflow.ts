import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Settings, type Summary, writeFileAtomic } from '@conquer-dml/run';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import type { Report } from './report.js';
import { placeOf, type Scalars, scalarsOf } from './scalars.js';
import type { RunEnd, TrackedRun, Tracker, TrackerContext } from './tracker.js';

const options = z.strictObject({
  url: z.string().describe('address of the tracking server, such as http://localhost:5000'),
});

export interface MLflowOptions extends z.input<typeof options> {
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

/** Points of a metric's history that one request asks for; older servers send all. */
const MOST_HISTORY = 25_000;

const statuses: Record<RunEnd, string> = { finished: 'FINISHED', stopped: 'KILLED', failed: 'FAILED' };

/** R@1 is R_at_1: letters, digits and _-./ and spaces are allowed. */
const metricName = (name: string) => name.replaceAll('@', '_at_').replaceAll(/[^\w\-./ ]/g, '_');

interface Point {
  key: string;
  value: number;
  step: number;
}

/** What the server knows of its run. */
interface ServerRun {
  info: { run_id: string; status: string; lifecycle_stage?: string };
  data: {
    metrics?: { key: string }[];
    params?: { key: string; value: string }[];
    tags?: { key: string; value: string }[];
  };
}

const nameOf = ({ key, value, step }: Point) => `${step} ${key} ${value}`;

const pointsOf = (scalars: Scalars, step: number): Point[] =>
  Object.entries(scalars).map(([name, value]) => ({ key: metricName(name), value, step }));

/**
 * Follows a run on an MLflow server through its REST interface (version 2.0 of the API, which MLflow 1 to 3 have). A
 * resumed run goes on in the server's run, whose id is in the run folder's mlflow.json: what that lacks is sent. MLflow
 * takes no metric back, so that a server's run that holds what the log does not (the training went back to an earlier
 * checkpoint) is deleted there, and the whole run told to a new one. Credentials as MLflow's own
 * clients take them: $MLFLOW_TRACKING_TOKEN, or $MLFLOW_TRACKING_USERNAME and $MLFLOW_TRACKING_PASSWORD.
 */
export class MLflow implements Tracker {
  readonly name = 'MLflow';
  private readonly url: string;
  private readonly experiment: string;
  private readonly timeout: number;
  private runId = '';
  private live = true;
  /** The points that the server has, by nameOf. */
  private held = new Set<string>();
  /** The server's own, where nothing was sent since. */
  private status: string | null = null;

  /** @throws OptionError for what is no address, or one that holds a password */
  constructor({ experiment, timeout = 10_000, ...given }: MLflowOptions) {
    this.url = checkedUrl(withDefaults('MLflow', options, given).url);
    this.experiment = experiment ?? fromEnvironment().experiment;
    this.timeout = timeout;
  }

  async start({ name, folder, settings, past, live, onNote }: TrackedRun): Promise<void> {
    this.live = live;
    const points = past.flatMap((report) => pointsOf(scalarsOf(report), placeOf(report)));
    const file = join(folder.path, 'mlflow.json');
    let run = await this.find(file, folder.path);
    if (run) {
      const wanted = new Set([...points, ...bestPoints(past)].map(nameOf));
      const forgotten = [...this.held].filter((point) => !wanted.has(point)).length;
      if (forgotten > 0) {
        await this.post('runs/delete', { run_id: this.runId });
        onNote(
          `its run ${this.runId} held ${forgotten} values that the run has gone back behind, and was deleted there; a new one holds all that is so`,
        );
        run = null;
      }
    }
    if (!run) {
      this.held.clear();
      this.status = null;
      const answer = await this.post<{ run: ServerRun }>('runs/create', {
        experiment_id: await this.experimentId(),
        run_name: name,
        start_time: Date.now(),
        tags: [
          { key: 'mlflow.runName', value: name },
          { key: 'mlflow.source.name', value: 'conquer train' },
          { key: 'conquer.run', value: folder.path },
        ],
      });
      run = answer.run;
      this.runId = run.info.run_id;
      writeFileAtomic(file, `${JSON.stringify({ url: this.url, runId: this.runId })}\n`);
    } else if (live) await this.post('runs/update', { run_id: this.runId, status: 'RUNNING' });
    // MLflow lets nobody change a parameter.
    const known = new Set((run.data.params ?? []).map(({ key }) => key));
    await this.params(settings, known);
    await this.send(points);
  }

  async report(report: Report): Promise<void> {
    await this.send(pointsOf(scalarsOf(report), placeOf(report)));
  }

  async end(how: RunEnd, summary: Summary | null): Promise<void> {
    if (summary?.best) {
      const { epoch, metrics } = summary.best;
      const best = Object.entries(metrics).map(([name, value]) => [`best/${name}`, value]);
      await this.send(pointsOf(Object.fromEntries(best), epoch + 1));
    }
    if (!this.live && this.status === statuses[how]) return;
    await this.post('runs/update', {
      run_id: this.runId,
      status: statuses[how],
      end_time: Date.now(),
    });
  }

  /** The server's run of this one with what it holds; null where there is none, or it was deleted. */
  private async find(file: string, folder: string): Promise<ServerRun | null> {
    const known = existsSync(file) ? knownRun(file) : null;
    if (known?.url !== this.url) return null;
    const found = await this.request(`runs/get?run_id=${encodeURIComponent(known.runId)}`, { method: 'GET' });
    if (found.status === 404) return null;
    if (!found.ok) throw await refusal(found, 'runs/get');
    const { run } = (await found.json()) as { run: ServerRun };
    if (run.info.lifecycle_stage === 'deleted') return null;
    // The folder was copied: the server's run is the other one's.
    const owner = (run.data.tags ?? []).find(({ key }) => key === 'conquer.run')?.value;
    const other = owner !== undefined && owner !== folder ? join(owner, 'mlflow.json') : null;
    if (other !== null && existsSync(other) && knownRun(other).runId === known.runId) return null;
    this.runId = known.runId;
    this.status = run.info.status;
    for (const key of new Set((run.data.metrics ?? []).map((metric) => metric.key)))
      for (const point of await this.history(key)) this.held.add(nameOf({ ...point, key }));
    return run;
  }

  private async history(key: string): Promise<Point[]> {
    const points: Point[] = [];
    let token = '';
    do {
      const query = new URLSearchParams({
        run_id: this.runId,
        metric_key: key,
        max_results: String(MOST_HISTORY),
        ...(token !== '' && { page_token: token }),
      });
      const found = await this.request(`metrics/get-history?${query}`, { method: 'GET' });
      if (!found.ok) throw await refusal(found, 'metrics/get-history');
      const page = (await found.json()) as {
        metrics?: { value: number; step?: number | string }[];
        next_page_token?: string;
      };
      // Protocol buffers write 64-bit numbers as text in JSON, and leave 0 out.
      for (const { value = 0, step = 0 } of page.metrics ?? [])
        points.push({ key, value: Number(value), step: Number(step) });
      token = page.next_page_token ?? '';
    } while (token !== '');
    return points;
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

  private async params(settings: Settings, known: ReadonlySet<string>): Promise<void> {
    const params = Object.entries(settings)
      .filter(([name, value]) => value !== null && !known.has(name))
      .map(([key, value]) => ({ key, value: String(value).slice(0, LONGEST_PARAM) }));
    for (let start = 0; start < params.length; start += MOST_PARAMS)
      await this.post('runs/log-batch', {
        run_id: this.runId,
        params: params.slice(start, start + MOST_PARAMS),
      });
  }

  /** Sends those points that the server does not have. */
  private async send(points: readonly Point[]): Promise<void> {
    const timestamp = Date.now();
    const missing = points.filter((point) => !this.held.has(nameOf(point)));
    for (let start = 0; start < missing.length; start += MOST_METRICS) {
      const some = missing.slice(start, start + MOST_METRICS);
      await this.post('runs/log-batch', {
        run_id: this.runId,
        metrics: some.map((point) => ({ ...point, timestamp })),
      });
      for (const point of some) this.held.add(nameOf(point));
    }
  }

  private async post<Answer = unknown>(path: string, body: object): Promise<Answer> {
    const response = await this.request(path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw await refusal(response, path);
    return (await response.json()) as Answer;
  }

  private async request(path: string, options: { method: string; body?: string }): Promise<Response> {
    const headers = { 'Content-Type': 'application/json', ...fromEnvironment().authorization };
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

/** What may stand as the best epoch's metrics: every epoch's. */
function bestPoints(past: readonly Report[]): Point[] {
  return past.flatMap((report) => {
    if (report.kind !== 'epoch') return [];
    const named = Object.entries(report.record.metrics ?? {}).map(([name, value]) => [`best/${name}`, value]);
    return pointsOf(Object.fromEntries(named), placeOf(report));
  });
}

function knownRun(file: string): { url: unknown; runId: string } {
  try {
    const { url, runId } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    if (typeof runId === 'string') return { url, runId };
  } catch {
    // Said below.
  }
  throw new Error(`${file} is damaged: restore it, or remove it to begin a new run on the server`);
}

function checkedUrl(text: string): string {
  const url = URL.parse?.(text) ?? (URL.canParse(text) ? new URL(text) : null);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new OptionError('url', `expected an address such as http://localhost:5000, got '${text}'`);
  if (url.username !== '' || url.password !== '')
    throw new OptionError(
      'url',
      'leave name and password out of the address, which is logged: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD',
    );
  return text.replace(/\/+$/, '');
}

/** What MLflow's own clients read as well: the experiment of a run, and who sends it. */
function fromEnvironment(): { experiment: string; authorization: Record<string, string> } {
  const { MLFLOW_EXPERIMENT_NAME: experiment, MLFLOW_TRACKING_TOKEN: token } = process.env;
  const { MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: password = '' } = process.env;
  const basic = user && `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const credentials = token ? `Bearer ${token}` : basic;
  return {
    experiment: experiment || 'conquer',
    authorization: credentials ? { Authorization: credentials } : {},
  };
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

export const mlflow = part({
  name: 'mlflow',
  help: 'follow the run on an MLflow server',
  options,
  build: (options, _: TrackerContext): Tracker => new MLflow(options),
});
