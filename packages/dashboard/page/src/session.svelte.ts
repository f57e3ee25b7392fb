import { SvelteMap } from 'svelte/reactivity';
import {
  type AppendEvent,
  type DashboardEvent,
  MAX_RECORDS,
  MAX_STEPS,
  type RunDetail,
  type RunSummary,
  type RunsAnswer,
} from '../../src/api.js';
import type { Source } from './source.js';

/** What the page knows of the runs, kept up to date by the source's events. */
export class Session {
  /** null: not known yet. */
  runs = $state.raw<RunsAnswer | null>(null);
  failure = $state<string | null>(null);
  connection = $state<'connecting' | 'live' | 'lost'>('connecting');
  /** Of the runs that were opened. */
  readonly details = new SvelteMap<string, RunDetail>();
  readonly failures = new SvelteMap<string, string>();
  /** By run; changes whenever the run's embeddings do. */
  readonly embeddingVersions = new SvelteMap<string, string>();
  /** By run; grows when its maps should be asked for again. */
  readonly mapTurns = new SvelteMap<string, number>();
  private readonly opened = new Set<string>();

  constructor(readonly source: Source) {}

  /** Begins to listen; returns how to end it. */
  start(): () => void {
    void this.fetchRuns();
    return this.source.listen({
      connected: () => {
        const again = this.connection === 'lost';
        this.connection = 'live';
        // What happened before the connection stood is in no event.
        void this.fetchRuns();
        for (const id of this.opened) void this.fetchRun(id);
        if (again) for (const [id, turn] of this.mapTurns) this.mapTurns.set(id, turn + 1);
      },
      lost: () => {
        this.connection = 'lost';
      },
      event: (event) => this.take(event),
    });
  }

  /** Fetches the run's details, once; `details` then holds them. */
  open(id: string): void {
    if (this.opened.has(id)) return;
    this.opened.add(id);
    void this.fetchRun(id);
  }

  summary(id: string): RunSummary | undefined {
    return this.runs?.runs.find((run) => run.id === id);
  }

  private async fetchRuns(): Promise<void> {
    try {
      this.runs = await this.source.runs();
      this.failure = null;
    } catch (error) {
      this.failure = (error as Error).message;
    }
  }

  private async fetchRun(id: string): Promise<void> {
    try {
      this.details.set(id, await this.source.run(id));
      this.failures.delete(id);
    } catch (error) {
      this.failures.set(id, (error as Error).message);
    }
  }

  private forget(id: string): void {
    this.opened.delete(id);
    this.details.delete(id);
    this.failures.delete(id);
  }

  private take(event: DashboardEvent): void {
    if (event.type === 'runs') {
      this.runs = { runsDir: event.runsDir, runs: event.runs, differing: event.differing };
      // One that comes back under its name is read from its beginning.
      const there = new Set(event.runs.map(({ id }) => id));
      for (const id of this.opened) if (!there.has(id)) this.forget(id);
      for (const summary of event.runs) {
        const detail = this.details.get(summary.id);
        if (detail) this.details.set(summary.id, { ...detail, ...summary });
      }
    } else if (event.type === 'map') {
      this.mapTurns.set(event.run, (this.mapTurns.get(event.run) ?? 0) + 1);
    } else if (event.type === 'embedding') {
      this.embeddingVersions.set(event.run, event.version);
      const detail = this.details.get(event.run);
      if (detail) this.details.set(event.run, { ...detail, has: { ...detail.has, embedding: true } });
    } else if (this.opened.has(event.run)) {
      const detail = this.details.get(event.run);
      const next = event.type === 'append' && detail ? appended(detail, event) : null;
      if (next) this.details.set(event.run, next);
      else void this.fetchRun(event.run);
    }
  }
}

/** The run with the event's lines added; null where it must be fetched anew, also as it has become long. */
export function appended(detail: RunDetail, event: AppendEvent): RunDetail | null {
  if (event.divisions) return null;
  const lines = { ...detail.lines };
  const fresh = <T>(kind: 'records' | 'steps', part: { at: number; lines: T[] } | undefined): T[] | null => {
    if (!part) return [];
    if (part.at > lines[kind]) return null;
    const added = part.lines.slice(lines[kind] - part.at);
    lines[kind] += added.length;
    return added;
  };
  const records = fresh('records', event.records);
  const steps = fresh('steps', event.steps);
  if (!records || !steps) return null;
  const [allRecords, allSteps] = [
    [...detail.records, ...records],
    [...detail.steps, ...steps],
  ];
  // The server thins them out.
  if (allRecords.length > 2 * MAX_RECORDS || allSteps.length > 2 * MAX_STEPS) return null;
  const epochSteps = [...detail.epochSteps];
  for (const { epoch, steps: count } of [...records, ...steps]) {
    const last = epochSteps.at(-1);
    if (count && epoch > (last?.epoch ?? -1) && count !== last?.steps)
      epochSteps.push({ epoch, steps: count });
  }
  if (event.masks) lines.masks = Math.max(lines.masks, event.masks.at + event.masks.epochs.length);
  return {
    ...detail,
    lines,
    records: allRecords,
    steps: allSteps,
    epochSteps,
    has: { ...detail.has, masks: detail.has.masks || event.masks !== undefined },
  };
}
