import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { IndexFolder, RunFolder, UserError } from '@conquer-dml/run';
import type { DashboardEvent, RunSummary, RunsAnswer } from './api.js';
import { Embedding } from './embedding.js';
import { liesWithin } from './lies-within.js';
import { Retrieval } from './retrieval.js';
import { Run } from './run.js';

/** Embeddings that are held in memory at once: a comparison of a few runs. */
const MAX_EMBEDDINGS = 4;
/** Runs may lie in folders of the folder, such as one for each comparison, this deep. */
const MAX_DEPTH = 3;

/** The runs of a folder and its subfolders (or the one run that the folder is), read anew at each `refresh`, which tells what is new. */
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
        `expected a run or a folder of runs, ${path} is none: train one first (npx conquer demo), or give its path`,
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
    for (const [path] of this.runs) if (!paths.has(path)) this.runs.delete(path);
    for (const [path, id] of paths) {
      // What goes wrong with one run is no reason to lose the others: it may be gone by now.
      try {
        await this.lookAt(path, id);
      } catch (error) {
        process.stderr.write(`dashboard: ${path} cannot be read: ${(error as Error).message}\n`);
        this.runs.delete(path);
      }
    }
    const answer = this.answer();
    // `updated` changes all the time.
    const text = JSON.stringify({ ...answer, runs: answer.runs.map((run) => ({ ...run, updated: 0 })) });
    if (text !== this.lastAnswer) this.tell({ type: 'runs', ...answer });
    this.lastAnswer = text;
  }

  private async lookAt(path: string, id: string): Promise<void> {
    const known = this.runs.get(path);
    if (known) {
      for (const event of await known.news()) this.tell(event);
      return;
    }
    if (!RunFolder.exists(path)) return;
    const run = new Run(path, id);
    this.runs.set(path, run);
    // Nobody knows it yet, so that nobody needs to hear what is in it.
    await run.poll();
  }

  /** The runs' folders, and what they are called: the way from this folder. */
  private async paths(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    if (this.single) {
      // The map of an index goes by the index's name.
      const named = new IndexFolder(this.parent).map === this.dir ? this.parent : this.dir;
      if (RunFolder.exists(this.dir)) found.set(this.dir, basename(named));
      return found;
    }
    const lookIn = async (dir: string, depth: number): Promise<void> => {
      const names = (await readdir(dir).catch(() => [])).filter((name) => !name.startsWith('.'));
      for (const name of names) {
        const path = join(dir, name);
        // A link may lead anywhere.
        if (RunFolder.exists(path)) {
          if (await liesWithin(path, this.dir))
            found.set(path, relative(this.dir, path).replaceAll(sep, '/'));
        } else if (depth < MAX_DEPTH && !new IndexFolder(path).exists() && (await isFolder(path)))
          await lookIn(path, depth + 1);
      }
    };
    await lookIn(this.dir, 1);
    return found;
  }

  answer(): RunsAnswer {
    const runs = [...this.runs.values()].map((run) => run.summary());
    runs.sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1));
    return { runsDir: this.dir, runs, differing: differingSettings(runs) };
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
    // What cannot be read now may be read later.
    retrieval.catch(() => this.embeddings.get(key) === retrieval && this.embeddings.delete(key));
    for (const oldest of this.embeddings.keys()) {
      if (this.embeddings.size <= MAX_EMBEDDINGS) break;
      this.embeddings.delete(oldest);
    }
    return await retrieval;
  }
}

/**
 * Settings whose values are not the same in all runs, sorted. What a run does not say is no difference: a damaged run's
 * settings are not known, and trainEmbedding(), or an older version, records fewer than the command line.
 */
export function differingSettings(runs: readonly RunSummary[]): string[] {
  const known = runs.filter(({ status }) => status !== 'damaged');
  const names = new Set(known.flatMap(({ settings }) => Object.keys(settings)));
  const differing = [...names].filter((name) => {
    const values = known.flatMap(({ settings }) => (Object.hasOwn(settings, name) ? [settings[name]] : []));
    return values.some((value) => value !== values[0]);
  });
  return differing.sort();
}

/** Whether a path is a folder itself, no link to one. */
async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
