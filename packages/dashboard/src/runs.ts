import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RunFolder } from 'conquer/run-folder';
import type { DashboardEvent, RunsAnswer } from './api.js';
import { Embedding } from './embedding.js';
import { UserError } from './error.js';
import { liesWithin } from './files.js';
import { Retrieval } from './retrieval.js';
import { Run } from './run.js';

/** Embeddings that are held in memory at once: a comparison of a few runs. */
const MAX_EMBEDDINGS = 4;

/** The runs of a folder (or the one run that the folder is), read anew at each `refresh`, which tells what is new. */
export class Runs {
  private readonly runs = new Map<string, Run>();
  /** Least recently used first. */
  private readonly embeddings = new Map<string, Promise<Retrieval | null>>();
  private refreshing: Promise<void> | null = null;
  private lastAnswer = '';

  private constructor(
    readonly dir: string,
    /** Whether the folder itself is the run. */
    readonly single: boolean,
    private readonly tell: (event: DashboardEvent) => void,
  ) {}

  /** @throws UserError when there is no such folder */
  static async open(path: string, tell: (event: DashboardEvent) => void = () => {}): Promise<Runs> {
    const given = resolve(path);
    const dir = await realpath(given).catch(() => null);
    if (dir === null || !(await stat(dir)).isDirectory()) {
      throw new UserError(
        `expected a run or a folder of runs, ${path} is none: train one first (conquer demo), or give its path`,
      );
    }
    return new Runs(dir, RunFolder.exists(dir), tell);
  }

  /** The folder that holds the runs. */
  get parent(): string {
    return this.single ? dirname(this.dir) : this.dir;
  }

  /** Looks at all files. */
  refresh(): Promise<void> {
    this.refreshing ??= this.look().finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  private async look(): Promise<void> {
    const paths = await this.paths();
    for (const [path] of this.runs) if (!paths.includes(path)) this.runs.delete(path);
    for (const path of paths) {
      let run = this.runs.get(path);
      if (!run) {
        if (!RunFolder.exists(path)) continue;
        run = new Run(path);
        this.runs.set(path, run);
        // Nobody knows it yet, so that nobody needs to hear what is in it.
        await run.poll();
      } else for (const event of await run.poll()) this.tell(event);
    }
    const answer = this.answer();
    // `updated` changes all the time.
    const text = JSON.stringify({ ...answer, runs: answer.runs.map((run) => ({ ...run, updated: 0 })) });
    if (text !== this.lastAnswer) this.tell({ type: 'runs', ...answer });
    this.lastAnswer = text;
  }

  private async paths(): Promise<string[]> {
    if (this.single) return RunFolder.exists(this.dir) ? [this.dir] : [];
    const names = await readdir(this.dir).catch(() => []);
    const paths: string[] = [];
    for (const name of names) {
      const path = join(this.dir, name);
      // A link may lead anywhere.
      if (RunFolder.exists(path) && (await liesWithin(path, this.dir))) paths.push(path);
    }
    return paths;
  }

  answer(): RunsAnswer {
    const runs = [...this.runs.values()].map((run) => run.summary());
    runs.sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1));
    // What a run does not say is no difference: a damaged run's settings are not known, and trainEmbedding(), or an
    // older version, records fewer than the command line.
    const known = runs.filter(({ status }) => status !== 'damaged');
    const names = new Set(known.flatMap(({ settings }) => Object.keys(settings)));
    const differing = [...names].filter((name) => {
      const values = known.flatMap(({ settings }) => (Object.hasOwn(settings, name) ? [settings[name]] : []));
      return values.some((value) => value !== values[0]);
    });
    return { runsDir: this.dir, runs, differing: differing.sort() };
  }

  /** The run of that id: a name that was found in the folder, never a path that is made of it. */
  get(id: string): Run | null {
    for (const run of this.runs.values()) if (run.id === id) return run;
    return null;
  }

  /** What the run's embeddings say; null where it has none. @throws DamagedFile */
  async retrieval(run: Run): Promise<Retrieval | null> {
    const key = `${run.id} ${run.embeddingVersion}`;
    const known = this.embeddings.get(key);
    const retrieval =
      known ??
      Embedding.read(run.id, run.folder).then((embedding) => (embedding ? new Retrieval(embedding) : null));
    this.embeddings.delete(key);
    this.embeddings.set(key, retrieval);
    for (const oldest of this.embeddings.keys()) {
      if (this.embeddings.size <= MAX_EMBEDDINGS) break;
      this.embeddings.delete(oldest);
    }
    return await retrieval;
  }
}
