import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder, type Summary } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type LoopbackAnswer, LoopbackServer } from '../testing/loopback-server.js';
import { Tracking } from './tracking.js';
import { WeightsAndBiases } from './wandb.js';

// The server's side of what @wandb/sdk sends: the GraphQL mutation that makes a run, and the stream of its history.
// The SDK runs in a worker, from dist/.

class FakeWandb extends LoopbackServer {
  readonly runs: Record<string, unknown>[] = [];
  /** Lines of each run's history by their offsets: a line may be written anew. */
  readonly history = new Map<string, Record<string, number>[]>();
  readonly ended = new Map<string, number>();
  status = 200;

  protected answer(_method: string, path: string, body: string): LoopbackAnswer {
    return { status: this.status, content: this.handle(path, JSON.parse(body)) };
  }

  private handle(path: string, body: Record<string, unknown>): object {
    if (path === '/graphql') {
      const query = String(body.query);
      if (query.includes('viewer'))
        return { data: { viewer: { id: 'u', entity: 'me', teams: { edges: [] } } } };
      const variables = body.variables as Record<string, unknown>;
      this.runs.push(variables);
      const bucket = { id: 'b', name: variables.name, displayName: variables.displayName };
      return { data: { upsertBucket: { bucket, inserted: true } } };
    }
    const run = /^\/files\/(.+)\/file_stream$/.exec(path)?.[1];
    if (!run) return {};
    if (body.complete === true) this.ended.set(run, Number(body.exitcode));
    const files = (body.files ?? {}) as Record<string, { offset: number; content: string[] }>;
    const lines = files['wandb-history.jsonl'];
    const history = this.history.get(run) ?? [];
    for (const [i, line] of (lines?.content ?? []).entries())
      history[(lines?.offset ?? 0) + i] = JSON.parse(line) as Record<string, number>;
    this.history.set(run, history);
    return {};
  }
}

let folder: string;
let run: RunFolder;
let server: FakeWandb;
beforeEach(async () => {
  folder = temporaryFolder();
  run = RunFolder.create(join(folder, 'mine'), { lr: 0.1, name: 'mine' });
  server = new FakeWandb();
  vi.stubEnv('WANDB_BASE_URL', await server.listen());
  vi.stubEnv('WANDB_API_KEY', 'k'.repeat(40));
  vi.stubEnv('WANDB_MODE', '');
});
afterEach(() => {
  server.close();
  vi.unstubAllEnvs();
});

const record = (epoch: number): EpochRecord => ({
  epoch,
  metrics: { 'R@1': 0.5 + epoch / 100 },
  seconds: { evaluate: 1, train: 2 },
  ...(epoch >= 0 && { steps: 2, metricLoss: 0.3, images: 16 }),
});

/** What the loop logs and tells of an epoch. */
function follow(tracking: Tracking, epoch: number): void {
  if (epoch >= 0) {
    const steps = { epoch, step: 1, steps: 2, metricLoss: 0.5, maskLoss: 0, imagesPerSecond: 9, skipped: 0 };
    run.appendSteps(steps);
    tracking.onSteps(steps);
  }
  run.appendEpoch(record(epoch));
  tracking.onEpochEnd(record(epoch));
}

describe('Weights & Biases', () => {
  it('has the settings and the history; a resumed run keeps its id and loses nothing', async () => {
    const signals = process.listenerCount('SIGINT');
    const onWarning = vi.fn();
    const first = new Tracking(new WeightsAndBiases({ project: 'birds' }), { run, onWarning });
    first.onStart();
    follow(first, -1);
    follow(first, 0);
    await first.end('stopped', null);
    expect(onWarning.mock.calls).toEqual([]);
    expect(server.runs).toEqual([
      expect.objectContaining({ project: 'birds', entity: 'me', displayName: 'mine' }),
    ]);
    expect(JSON.parse(String(server.runs[0]?.config))).toEqual({ lr: 0.1, name: 'mine' });
    const path = `me/birds/${server.runs[0]?.name}`;
    expect(server.ended.get(path)).toBe(1);

    const second = new Tracking(new WeightsAndBiases({ project: 'birds' }), { run, onWarning });
    second.onStart();
    follow(second, 1);
    const summary = { best: { epoch: 1, metrics: { 'R@1': 0.51 } } } as unknown as Summary;
    await second.end('finished', summary);
    expect(onWarning.mock.calls).toEqual([]);
    expect(server.runs[1]?.name).toBe(server.runs[0]?.name);
    const history = server.history.get(path) ?? [];
    const of = (key: string) => history.flatMap((line) => (line[key] === undefined ? [] : [line[key]]));
    expect(of('test/R@1')).toEqual([0.49, 0.5, 0.51]);
    expect(of('epoch')).toEqual([0, 1, 2]);
    expect(of('steps/metric loss')).toEqual([0.5, 0.5]);
    expect(of('best/R@1')).toEqual([0.51]);
    const steps = of('_step');
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    expect(server.ended.get(path)).toBe(0);
    expect([...server.authorizations]).toEqual([
      `Basic ${Buffer.from(`api:${'k'.repeat(40)}`).toString('base64')}`,
    ]);
    // The SDK's handlers would end the process.
    expect(process.listenerCount('SIGINT')).toBe(signals);
  });

  it('holds what the log holds when the run went back, and is told nothing twice', async () => {
    const onWarning = () => expect.unreachable();
    const open = () => new Tracking(new WeightsAndBiases({ project: 'birds' }), { run, onWarning });
    const first = open();
    first.onStart();
    for (const epoch of [-1, 0, 1]) follow(first, epoch);
    await first.end('stopped', null);
    // Shorter than what the server has: stopped again as soon as it was resumed.
    run.rewindTo(-1);
    const second = open();
    second.onStart();
    await second.end('stopped', null);
    const history = () => server.history.get(`me/birds/${server.runs[0]?.name}`) ?? [];
    const of = (key: string) => history().flatMap((line) => (line[key] === undefined ? [] : [line[key]]));
    expect(of('test/R@1')).toEqual([0.49]);
    expect(of('steps/metric loss')).toEqual([]);

    const sync = async () => {
      const tracking = open();
      tracking.tellPast();
      await tracking.end('stopped', null);
    };
    const sent = () => server.runs.length;
    const before = sent();
    await sync();
    expect(sent()).toBe(before);
    run.appendEpoch(record(0));
    await sync();
    await sync();
    expect(sent()).toBe(before + 1);
    expect(of('test/R@1')).toEqual([0.49, 0.5]);
    expect(new Set(server.runs.map(({ name }) => name)).size).toBe(1);
  });

  it.each([
    ['refuses', async () => {}, 401, /^Weights & Biases no longer follows the run, which goes on: /],
    [
      'is gone',
      async () => server.close(),
      200,
      /^Weights & Biases no longer follows the run, which goes on: /,
    ],
  ])('tells once of a server that %s', async (_, prepare, status, message) => {
    server.status = status;
    await prepare();
    const warnings: string[] = [];
    const tracker = new WeightsAndBiases({ project: 'team/birds', timeout: 5000 });
    const tracking = new Tracking(tracker, { run, onWarning: (text) => warnings.push(text) });
    tracking.onStart();
    follow(tracking, 0);
    await tracking.end('finished', null);
    expect(warnings).toEqual([expect.stringMatching(message)]);
    expect(existsSync(join(run.path, 'wandb.json'))).toBe(false);
  });

  it('needs a key and a project', () => {
    expect(() => new WeightsAndBiases({ project: 'no/such/thing' })).toThrow(/expected PROJECT or/);
    vi.stubEnv('WANDB_API_KEY', '');
    expect(() => new WeightsAndBiases({ project: 'birds' })).toThrow(
      /^project: the key of your account .*conquer sync tell of the run later/,
    );
  });
});
