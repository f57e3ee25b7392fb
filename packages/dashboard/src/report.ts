import { createHash } from 'node:crypto';
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DamagedFile, UserError, writeFileAtomic } from '@conquer-dml/run';
import {
  type ImageRef,
  type MasksOfEpoch,
  REPORT_ELEMENT,
  type ReportData,
  type RetrievalItem,
  type RunDetail,
  type RunReport,
} from './api.js';
import type { Embedding } from './embedding.js';
import { keptMap, NoMap } from './kept-map.js';
import { packMap } from './map-points.js';
import { type PageFile, pageFiles } from './page-files.js';
import type { Retrieval, RetrievalRequest } from './retrieval.js';
import type { Run } from './run.js';
import { differingSettings, Runs } from './runs.js';
import { evenly } from './thinning.js';
import { imageFolders, liesInOneOf, type RowReader, thumbnail } from './thumbnails.js';
import { withoutFolders } from './without-folders.js';

// Of all runs of a report together:

/** Epochs whose masks are held; of more, some are left out evenly. */
const MAX_MASKS = 100;
/** Of all maps together; about 25 bytes each. */
const MAX_MAP_POINTS = 60_000;
/** Up to so many queries, all of them are held. */
const ALL_QUERIES = 2000;
const SOME_QUERIES = 300;
const NEIGHBOURS = 10;
/** Pixels of a thumbnail's longer edge, and bytes of all thumbnails together. */
const THUMBNAIL = 72;
const MAX_IMAGE_BYTES = 8 << 20;

export interface ReportOptions {
  /** Run folders, and folders of runs. */
  runs: readonly string[];
  /** The HTML file; of one path by default report.html in it. */
  out?: string | undefined;
  /** Folders, other than those of the runs' data sets, whose images may be shown. */
  dataDirs?: readonly string[] | undefined;
  /** Reads images in Parquet files; without it they are not shown. */
  readRow?: RowReader | undefined;
  /** Called with a line about what takes time. */
  onProgress?: ((what: string) => void) | undefined;
  /** The built page; default this package's. */
  pageDir?: string | undefined;
}

/**
 * Writes the page of a run, or of several to compare, into one HTML file that needs no server and no network. It names no
 * folder of this machine.
 *
 * @returns the file and its size
 * @throws UserError when there is no run, or the file cannot be written
 */
export async function writeReport(options: ReportOptions): Promise<{ file: string; bytes: number }> {
  const { onProgress = () => {}, dataDirs = [], readRow, pageDir } = options;
  const file = outOf(options);
  const found: { runs: Runs; run: Run }[] = [];
  for (const path of options.runs) {
    const runs = await Runs.open(path);
    await runs.refresh();
    const ids = runs.answer().runs.map(({ id }) => id);
    if (ids.length === 0)
      throw new UserError(
        `there is no run in ${path}: expected a folder with a config.json, or one of such folders`,
      );
    for (const id of ids) {
      const run = runs.get(id);
      if (run && !found.some((other) => other.run.folder.path === run.folder.path)) found.push({ runs, run });
    }
  }
  const images: Record<string, string> = {};
  const data: ReportData = {
    format: 'conquer-report-3',
    created: new Date().toISOString(),
    differing: [],
    runs: [],
    images,
  };
  for (const { runs, run } of found) {
    const place = data.runs.length;
    const say = (what: string) => onProgress(found.length > 1 ? `${run.id}: ${what}` : what);
    const share = { dataDirs, readRow, place, images, share: 1 / found.length, onProgress: say };
    data.runs.push(await reportOfRun(runs, run, share));
  }
  distinguish(data.runs.map(({ run }) => run));
  data.differing = differingSettings(data.runs.map(({ run }) => run));
  const html = selfContained(pageFiles(pageDir), data);
  try {
    writeFileAtomic(file, html);
  } catch (error) {
    throw new UserError(`the report ${file} cannot be written: ${(error as Error).message}`);
  }
  return { file, bytes: Buffer.byteLength(html) };
}

/** Where the report goes; refused before anything is computed where that cannot be. */
function outOf({ runs: [path, another], out }: ReportOptions): string {
  if (path === undefined) throw new UserError('expected a run or a folder of runs');
  if (out === undefined && another !== undefined)
    throw new UserError('a report of several paths needs a file to be written to: give its name');
  const file = out ?? join(path, 'report.html');
  const folder = dirname(file);
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) throw new Error('it is a folder');
    if (out !== undefined) accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UserError(`the report ${file} cannot be written: ${(error as Error).message}`);
  }
  return file;
}

/** Runs of several folders may have one name. */
function distinguish(runs: RunDetail[]): void {
  const taken = new Set<string>();
  for (const run of runs) {
    const { id } = run;
    for (let times = 2; taken.has(run.id); times++) run.id = run.name = `${id} (${times})`;
    taken.add(run.id);
  }
}

interface RunReportOptions {
  dataDirs: readonly string[];
  readRow: RowReader | undefined;
  /** The run's place in the report. */
  place: number;
  /** Takes the pictures. */
  images: Record<string, string>;
  /** The run's part of what a report may hold. */
  share: number;
  onProgress: (what: string) => void;
}

async function reportOfRun(
  runs: Runs,
  run: Run,
  { dataDirs, readRow, place, images, share, onProgress }: RunReportOptions,
): Promise<RunReport> {
  const detail = structuredClone(await run.detail());
  const report: RunReport = {
    run: detail,
    masks: await masksOf(run, Math.max(1, Math.floor(MAX_MASKS * share))),
    embedding: null,
    maps: [],
    classes: null,
    retrieval: { items: [], worst: [], random: [] },
  };
  // Found by the folders as they are.
  const folders = await imageFolders(detail.settings, runs.parent, dataDirs);
  hideFolders(detail);
  const retrieval = await runs.retrieval(run).catch((error) => {
    if (!(error instanceof DamagedFile)) throw error;
    detail.problems.push(`embeddings.safetensors cannot be read: ${error.message}`);
    return null;
  });
  if (retrieval === null) return report;
  report.embedding = retrieval.embedding.info();
  report.classes = structuredClone(retrieval.classes());
  report.retrieval = await heldQueries(retrieval, share);
  report.maps = await mapsOf(run, retrieval, share, onProgress);
  onProgress('making thumbnails');
  const pictures = await heldImages(retrieval.embedding, shownImages(report), { folders, readRow, share });
  for (const [key, picture] of Object.entries(pictures)) images[`${place}/${key}`] = picture;
  for (const image of shownImages(report)) {
    const key = `${image.set}/${image.index}`;
    image.src = Object.hasOwn(pictures, key) ? `${place}/${key}` : null;
  }
  return report;
}

/** A report is sent to others. */
function hideFolders(run: RunDetail): void {
  for (const [name, value] of Object.entries(run.settings))
    if (typeof value === 'string') run.settings[name] = withoutFolders(value);
  run.problems = run.problems.map(withoutFolders);
  for (const division of run.divisions) division.notes = division.notes.map(withoutFolders);
}

async function mapsOf(
  { folder }: Run,
  retrieval: Retrieval,
  share: number,
  onProgress: (what: string) => void,
): Promise<RunReport['maps']> {
  const { numQueries, numLearners } = retrieval.embedding;
  const maps = Math.floor((share * MAX_MAP_POINTS) / numQueries);
  // With a single learner the full embedding is all there is.
  const fitting = numLearners > 1 ? Math.max(0, Math.min(numLearners, maps - 1)) : 0;
  const found: RunReport['maps'] = [];
  for (const learner of ['full' as const, ...Array.from({ length: fitting }, (_, i) => i)]) {
    try {
      const packed = packMap(await keptMap(folder, retrieval, learner));
      found.push({ learner, packed: Buffer.from(packed.buffer).toString('base64') });
    } catch (error) {
      if (!(error instanceof NoMap)) throw error;
      if (learner === 'full') onProgress(`without a map of the test images. ${error.message}`);
    }
  }
  return found;
}

async function masksOf(run: Run, most: number): Promise<MasksOfEpoch[]> {
  const { epochs } = await run.masksIndex();
  const masks = await Promise.all(evenly(epochs, most).map(({ epoch }) => run.masksOf(epoch)));
  return masks.filter((some) => some !== null);
}

async function heldQueries(retrieval: Retrieval, share: number): Promise<RunReport['retrieval']> {
  const { numQueries } = retrieval.embedding;
  const some = Math.max(20, Math.round(SOME_QUERIES * share));
  const limit = numQueries <= ALL_QUERIES * share ? numQueries : Math.min(numQueries, some);
  const request: RetrievalRequest = {
    order: 'worst',
    seed: 1,
    label: null,
    learner: 'full',
    k: NEIGHBOURS,
    offset: 0,
    limit,
  };
  const worst = (await retrieval.page(request)).items;
  const random = (await retrieval.page({ ...request, order: 'random' })).items;
  const items = new Map<number, RetrievalItem>();
  for (const item of [...worst, ...random]) items.set(item.query.index, item);
  const held = [...items.values()].sort((a, b) => a.query.index - b.query.index);
  const indices = (ordered: RetrievalItem[]) => ordered.map(({ query }) => query.index);
  return { items: held, worst: indices(worst), random: indices(random) };
}

/** All images that the report's parts refer to, those of the worst retrievals first. */
function shownImages({ retrieval, classes }: RunReport): ImageRef[] {
  const byQuery = new Map(retrieval.items.map((item) => [item.query.index, item]));
  const ordered = [...retrieval.worst.slice(0, SOME_QUERIES), ...retrieval.random.slice(0, SOME_QUERIES)];
  const items = new Set([...ordered.flatMap((query) => byQuery.get(query) ?? []), ...retrieval.items]);
  return [
    ...(classes?.confusions ?? []).flatMap(({ example }) => [example.query, example.neighbour]),
    ...[...items].flatMap(({ query, neighbours }) => [query, ...neighbours.map(({ image }) => image)]),
  ];
}

/** data: URLs of those images and then of the other queries, until the bytes are used up. */
async function heldImages(
  embedding: Embedding,
  shown: ImageRef[],
  { folders, readRow, share }: { folders: readonly string[]; readRow: RowReader | undefined; share: number },
): Promise<Record<string, string>> {
  const images: Record<string, string> = {};
  const others = Array.from(
    { length: embedding.numQueries },
    (_, index) => ({ set: 'query', index }) as const,
  );
  const wanted = new Map<string, Pick<ImageRef, 'set' | 'index'>>();
  for (const image of [...shown, ...others]) wanted.set(`${image.set}/${image.index}`, image);
  let bytes = 0;
  const keys = [...wanted.entries()];
  // A few at a time: sharp has threads of its own.
  for (let at = 0; at < keys.length && bytes < share * MAX_IMAGE_BYTES; at += 8) {
    const some = keys.slice(at, at + 8).map(async ([key, { set, index }]) => {
      const path = embedding.imagePath(set, index);
      if (path === null || !(await liesInOneOf(path, folders))) return;
      const picture = await thumbnail(path, THUMBNAIL, { quality: 70, readRow });
      if (picture === null) return;
      images[key] = `data:image/webp;base64,${picture.toString('base64')}`;
      bytes += images[key].length;
    });
    await Promise.all(some);
  }
  return images;
}

/** The page with its script, its style and the data inside. */
function selfContained(files: ReadonlyMap<string, PageFile>, data: ReportData): string {
  const page = files.get('index.html')?.content.toString('utf8');
  if (page === undefined) throw new UserError('the page is not built: run npm run build');
  const text = (address: string): string => {
    const file = files.get(address.replace(/^\.\//, ''));
    if (!file) throw new Error(`the page's ${address} is missing`);
    return file.content.toString('utf8');
  };
  const hashes: string[] = [];
  const script = (source: string): string => {
    // An end tag or a comment in a string of the script would end it.
    const safe = source.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');
    hashes.push(`'sha256-${createHash('sha256').update(safe).digest('base64')}'`);
    return `<script type="module">${safe}</script>`;
  };
  const inlined = page
    .replaceAll(/<script [^>]*src="([^"]+)"[^>]*><\/script>/g, (_, address: string) => script(text(address)))
    .replaceAll(/<link [^>]*rel="stylesheet"[^>]*href="([^"]+)"[^>]*>/g, (_, address: string) => {
      return `<style>${text(address).replaceAll('</style', '<\\/style')}</style>`;
    });
  // As in the server's policy, except that there is no server.
  const policy = [
    "default-src 'none'",
    `script-src ${hashes.join(' ')}`,
    "style-src 'unsafe-inline'",
    'img-src data: blob:',
    'font-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  const head = `<meta http-equiv="Content-Security-Policy" content="${policy}">`;
  const element = `<script type="application/json" id="${REPORT_ELEMENT}">${json}</script>`;
  return inlined
    .replace(/<meta charset[^>]*>/, (charset) => `${charset}\n    ${head}`)
    .replace('</body>', () => `${element}\n  </body>`);
}
