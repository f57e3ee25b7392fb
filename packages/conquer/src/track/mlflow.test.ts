import { cpSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder, type Summary } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { undivided } from '../divide/division.js';
import { type LoopbackAnswer, LoopbackServer } from '../testing/loopback-server.js';
import { MLflow } from './mlflow.js';
import { Tracking } from './tracking.js';

// The server's side of MLflow's REST interface, as its documentation gives it: what each request must hold, and how a
// wrong one is refused.

interface Metric {
  key: string;
  value: number;
  timestamp: number;
  step: number;
}
interface ServerRun {
  experiment: string;
  name: string;
  status: string;
  end: number | null;
  params: Map<string, string>;
  metrics: Metric[];
  tags: { key: string; value: string }[];
  deleted: boolean;
}

class FakeMLflow extends LoopbackServer {
  readonly experiments = new Map<string, string>();
  readonly runs = new Map<string, ServerRun>();
  down = false;

  protected answer(method: string, path: string, body: string): LoopbackAnswer {
    const refuse = (status: number, code: string, message: string) => ({
      status,
      content: { error_code: code, message },
    });
    if (this.down) return refuse(503, 'TEMPORARILY_UNAVAILABLE', 'down for repairs');
    try {
      const url = new URL(path, 'http://localhost');
      const content = method === 'POST' ? JSON.parse(body) : Object.fromEntries(url.searchParams.entries());
      const found = this.handle(`${method} ${url.pathname}`, content);
      if (found === null) return refuse(404, 'RESOURCE_DOES_NOT_EXIST', 'no such experiment');
      return { status: 200, content: found };
    } catch (error) {
      return refuse(400, 'INVALID_PARAMETER_VALUE', (error as Error).message);
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: requests are checked here, field by field
  private handle(call: string, body: any): object | null {
    const must = (condition: boolean, message: string) => {
      if (!condition) throw new Error(message);
    };
    const known = () => {
      const run = this.runs.get(body.run_id);
      if (!run) throw new Error(`no run ${body.run_id}`);
      return run;
    };
    switch (call) {
      case 'GET /api/2.0/mlflow/experiments/get-by-name': {
        const id = this.experiments.get(body.experiment_name);
        return id ? { experiment: { experiment_id: id, name: body.experiment_name } } : null;
      }
      case 'POST /api/2.0/mlflow/experiments/create': {
        must(typeof body.name === 'string' && !this.experiments.has(body.name), 'bad name');
        this.experiments.set(body.name, String(this.experiments.size + 1));
        return { experiment_id: this.experiments.get(body.name) };
      }
      case 'POST /api/2.0/mlflow/runs/create': {
        must([...this.experiments.values()].includes(body.experiment_id), 'no such experiment');
        must(Number.isSafeInteger(body.start_time) && body.start_time > 1e12, 'start_time in milliseconds');
        const id = `run-${this.runs.size + 1}`;
        this.runs.set(id, {
          experiment: body.experiment_id,
          name: body.run_name,
          status: 'RUNNING',
          end: null,
          params: new Map(),
          metrics: [],
          tags: body.tags,
          deleted: false,
        });
        return { run: { info: { run_id: id, status: 'RUNNING' }, data: {} } };
      }
      case 'GET /api/2.0/mlflow/runs/get': {
        const { status, params, metrics, tags, deleted } = known();
        const info = { run_id: body.run_id, status, lifecycle_stage: deleted ? 'deleted' : 'active' };
        const latest = [...new Map(metrics.map((metric) => [metric.key, metric])).values()];
        const named = [...params].map(([key, value]) => ({ key, value }));
        return { run: { info, data: { metrics: latest, params: named, tags } } };
      }
      case 'GET /api/2.0/mlflow/metrics/get-history': {
        const all = known().metrics.filter(({ key }) => key === body.metric_key);
        // A page holds two, so that there are several.
        const start = Number(body.page_token ?? 0);
        const page = all.slice(start, start + 2).map((metric) => ({ ...metric, step: String(metric.step) }));
        return { metrics: page, ...(start + 2 < all.length && { next_page_token: String(start + 2) }) };
      }
      case 'POST /api/2.0/mlflow/runs/delete': {
        known().deleted = true;
        return {};
      }
      case 'POST /api/2.0/mlflow/runs/log-batch': {
        const run = known();
        const { metrics = [], params = [] } = body;
        must(metrics.length <= 1000 && params.length <= 100, 'a batch is too large');
        for (const { key, value } of params) {
          must(typeof value === 'string' && value.length <= 500, `param ${key}: ${value}`);
          must(!run.params.has(key) || run.params.get(key) === value, `param ${key} is there already`);
          run.params.set(key, value);
        }
        for (const metric of metrics as Metric[]) {
          must(/^[\w\-./ ]{1,250}$/.test(metric.key), `Invalid metric name: '${metric.key}'`);
          must(Number.isFinite(metric.value), `metric ${metric.key}: ${metric.value}`);
          must(Number.isSafeInteger(metric.step) && metric.timestamp > 1e12, 'step and timestamp');
          run.metrics.push(metric);
        }
        return {};
      }
      case 'POST /api/2.0/mlflow/runs/update': {
        const run = known();
        must(['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'].includes(body.status), 'bad status');
        run.status = body.status;
        run.end = body.end_time ?? null;
        return { run_info: {} };
      }
      default:
        throw new Error(`no endpoint ${call}`);
    }
  }
}

let folder: string;
let run: RunFolder;
let server: FakeMLflow;
let url: string;
beforeEach(async () => {
  folder = temporaryFolder();
  run = RunFolder.create(join(folder, 'mine'), {
    lr: 0.1,
    name: 'mine',
    weights: null,
    note: 'x'.repeat(900),
  });
  server = new FakeMLflow();
  url = await server.listen();
});
afterEach(() => {
  server.close();
  vi.unstubAllEnvs();
});

const record = (epoch: number): EpochRecord => ({
  epoch,
  metrics: { 'R@1': 0.5 + epoch / 100, NMI: 0.25 },
  seconds: { evaluate: 1, train: 2 },
  ...(epoch >= 0 && { steps: 2, metricLoss: 0.3, images: 16, learningRates: { backbone: 1e-5 } }),
});
const summary = { status: 'finished', best: { epoch: 1, metrics: { 'R@1': 0.51 } } } as unknown as Summary;

/** What the loop logs and tells of an epoch. */
function follow(tracking: Tracking, epoch: number): void {
  if (epoch >= 0) {
    const division = undivided(new Int32Array(4), epoch);
    run.appendDivision(division);
    tracking.onDivision(division);
    const steps = { epoch, step: 1, steps: 2, metricLoss: 0.5, maskLoss: 0, imagesPerSecond: 8, skipped: 0 };
    run.appendSteps(steps);
    tracking.onSteps(steps);
  }
  run.appendEpoch(record(epoch));
  tracking.onEpochEnd(record(epoch));
}

describe('MLflow', () => {
  it('has the settings, every metric with its step, and the end', async () => {
    const onWarning = vi.fn();
    const tracking = new Tracking(new MLflow({ url: `${url}/` }), { run, onWarning });
    tracking.onStart();
    follow(tracking, -1);
    follow(tracking, 0);
    follow(tracking, 1);
    await tracking.end('finished', summary);
    expect(onWarning.mock.calls).toEqual([]);
    expect([...server.experiments.keys()]).toEqual(['conquer']);
    const [followed] = server.runs.values();
    expect(followed).toMatchObject({ name: 'mine', status: 'FINISHED', end: expect.any(Number) });
    expect(Object.fromEntries(followed?.params ?? [])).toEqual({
      lr: '0.1',
      name: 'mine',
      note: 'x'.repeat(500),
    });
    const of = (key: string) =>
      followed?.metrics.filter((metric) => metric.key === key).map(({ step, value }) => [step, value]);
    expect(of('test/R_at_1')).toEqual([
      [0, 0.49],
      [1, 0.5],
      [2, 0.51],
    ]);
    expect(of('steps/metric loss')).toEqual([
      [2, 0.5],
      [4, 0.5],
    ]);
    expect(of('learning rate/backbone')).toEqual([
      [1, 1e-5],
      [2, 1e-5],
    ]);
    expect(of('best/R_at_1')).toEqual([[2, 0.51]]);
    expect(of('train/images per second')).toEqual([
      [1, 8],
      [2, 8],
    ]);
  });

  it('goes on in the same run when it is resumed, and says how it was stopped', async () => {
    vi.stubEnv('MLFLOW_EXPERIMENT_NAME', 'birds');
    vi.stubEnv('MLFLOW_TRACKING_USERNAME', 'me');
    vi.stubEnv('MLFLOW_TRACKING_PASSWORD', 'secret');
    const onWarning = vi.fn();
    for (const [epoch, how] of [
      [0, 'stopped'],
      [1, 'finished'],
    ] as const) {
      const tracking = new Tracking(new MLflow({ url }), { run, onWarning });
      tracking.onStart();
      follow(tracking, epoch);
      await tracking.end(how, null);
      expect([...server.runs.values()].map(({ status }) => status)).toEqual([
        how === 'stopped' ? 'KILLED' : 'FINISHED',
      ]);
    }
    expect(onWarning.mock.calls).toEqual([]);
    expect([...server.experiments.keys()]).toEqual(['birds']);
    const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    expect([...server.authorizations]).toEqual([basic]);
  });

  const pointsOf = ({ metrics }: ServerRun, key: string) =>
    metrics.filter((metric) => metric.key === key).map(({ step }) => step);
  const onWarning = () => expect.unreachable();
  const tell = async (options: { onNote?: (text: string) => void } = {}) => {
    const tracking = new Tracking(new MLflow({ url }), { run, onWarning, ...options });
    tracking.tellPast();
    await tracking.end('finished', summary);
  };

  it('is sent what it lacks, and nothing twice', async () => {
    const tracking = new Tracking(new MLflow({ url }), { run, onWarning });
    tracking.onStart();
    for (const epoch of [-1, 0, 1]) follow(tracking, epoch);
    await tracking.end('finished', summary);
    const [server1] = server.runs.values() as Iterable<ServerRun>;
    const all = server1?.metrics.length;
    const end = server1?.end;
    await tell();
    await tell();
    expect(server.runs.size).toBe(1);
    expect(server1?.metrics).toHaveLength(all as number);
    expect(server1?.end).toBe(end);
    // A line that never arrived.
    server1?.metrics.splice(
      server1.metrics.findIndex(({ key }) => key === 'steps/metric loss'),
      1,
    );
    await tell();
    expect(server1?.metrics).toHaveLength(all as number);
  });

  it('holds what the log holds when the run went back to an earlier checkpoint', async () => {
    const first = new Tracking(new MLflow({ url }), { run, onWarning });
    first.onStart();
    for (const epoch of [-1, 0, 1]) follow(first, epoch);
    await first.end('stopped', null);
    run.rewindTo(0);
    const notes: string[] = [];
    const second = new Tracking(new MLflow({ url }), { run, onWarning, onNote: (text) => notes.push(text) });
    second.onStart();
    follow(second, 1);
    await second.end('finished', null);
    const [before, after] = [...server.runs.values()];
    expect(notes).toEqual([
      expect.stringMatching(/^MLflow: its run run-1 held \d+ values .* was deleted there/),
    ]);
    expect(before?.deleted).toBe(true);
    expect(pointsOf(after as ServerRun, 'test/R_at_1')).toEqual([0, 1, 2]);
    expect(pointsOf(after as ServerRun, 'steps/metric loss')).toEqual([2, 4]);
  });

  it('has one run for each folder: a copy gets its own, a moved one keeps it, and what was deleted there is made anew', async () => {
    run.appendEpoch(record(0));
    await tell();
    const original = run;
    const copy = join(folder, 'copy');
    cpSync(original.path, copy, { recursive: true });
    run = RunFolder.open(copy);
    await tell();
    expect(server.runs.size).toBe(2);
    renameSync(copy, join(folder, 'moved'));
    run = RunFolder.open(join(folder, 'moved'));
    await tell();
    expect(server.runs.size).toBe(2);
    for (const one of server.runs.values()) one.deleted = true;
    await tell();
    expect(server.runs.size).toBe(3);
  });

  it('tells of a server that is gone or refuses, in a line', async () => {
    for (const [prepare, reason] of [
      [() => {}, /^MLflow no longer .*: .* does not answer: .*ECONNREFUSED/],
      [
        async () => {
          server = new FakeMLflow();
          server.down = true;
          url = await server.listen();
        },
        /get-by-name was refused with 503: down for repairs$/,
      ],
    ] as const) {
      server.close();
      await prepare();
      const warnings: string[] = [];
      const tracking = new Tracking(new MLflow({ url }), { run, onWarning: (text) => warnings.push(text) });
      tracking.onStart();
      follow(tracking, 0);
      await tracking.end('finished', null);
      expect(warnings).toEqual([expect.stringMatching(reason)]);
    }
  });

  it.each([
    ['localhost', /expected an address such as/],
    ['ftp://localhost', /expected an address such as/],
    ['http://me:secret@localhost', /leave name and password out/],
  ])('%s is refused', (wrong, message) => {
    expect(() => new MLflow({ url: wrong })).toThrow(message);
  });
});
