import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeFileAtomic } from 'conquer/run-folder';
import {
  type ImageRef,
  type MapPoints,
  type MasksOfEpoch,
  REPORT_ELEMENT,
  type ReportData,
  type RetrievalItem,
} from './api.js';
import type { Embedding } from './embedding.js';
import { EmbeddingMaps } from './embedding-maps.js';
import { UserError } from './error.js';
import { DamagedFile } from './files.js';
import { type PageFile, pageFiles } from './page-files.js';
import type { Retrieval, RetrievalRequest } from './retrieval.js';
import type { Run } from './run.js';
import { Runs } from './runs.js';
import { imageFolders, liesInOneOf, thumbnail } from './thumbnails.js';

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
  /** The run's folder. */
  run: string;
  /** The HTML file; default report.html in the run's folder. */
  out?: string | undefined;
  /** Folders, other than the run's own --dataset-dir, whose images may be shown. */
  dataDirs?: readonly string[] | undefined;
  /** Called with a line about what takes time. */
  onProgress?: ((what: string) => void) | undefined;
  /** The built page; default this package's. */
  pageDir?: string | undefined;
}

/**
 * Writes a run's page into one HTML file that needs no server and no network.
 *
 * @returns the file and its size
 * @throws UserError when there is no run, or the file cannot be written
 */
export async function writeReport(options: ReportOptions): Promise<{ file: string; bytes: number }> {
  const { onProgress = () => {}, dataDirs = [], pageDir } = options;
  const runs = await Runs.open(options.run);
  await runs.refresh();
  const [summary, another] = runs.answer().runs;
  const run = summary && runs.get(summary.id);
  if (!run || another || !runs.single)
    throw new UserError(`there is no run in ${options.run}: expected a folder with a config.json`);
  const html = selfContained(pageFiles(pageDir), await reportData(runs, run, dataDirs, onProgress));
  const file = options.out ?? join(run.folder.path, 'report.html');
  try {
    writeFileAtomic(file, html);
  } catch (error) {
    throw new UserError(`the report ${file} cannot be written: ${(error as Error).message}`);
  }
  return { file, bytes: Buffer.byteLength(html) };
}

async function reportData(
  runs: Runs,
  run: Run,
  dataDirs: readonly string[],
  onProgress: (what: string) => void,
): Promise<ReportData> {
  const data: ReportData = {
    format: 'conquer-report-1',
    created: new Date().toISOString(),
    run: await run.detail(),
    masks: await masksOf(run),
    embedding: null,
    maps: [],
    classes: null,
    retrieval: { items: [], worst: [], random: [] },
    images: {},
  };
  const retrieval = await runs.retrieval(run).catch((error) => {
    if (!(error instanceof DamagedFile)) throw error;
    data.run.problems.push(`embeddings.safetensors cannot be read: ${error.message}`);
    return null;
  });
  if (retrieval === null) return data;
  data.embedding = retrieval.embedding.info();
  data.classes = structuredClone(retrieval.classes());
  data.retrieval = await heldQueries(retrieval);
  data.maps = await mapsOf(run.folder.path, retrieval, onProgress);
  onProgress('making thumbnails');
  const folders = await imageFolders(data.run.settings, runs.parent, dataDirs);
  data.images = await heldImages(retrieval.embedding, shownImages(data), folders);
  for (const image of shownImages(data)) {
    const key = `${image.set}/${image.index}`;
    image.src = Object.hasOwn(data.images, key) ? key : null;
  }
  return data;
}

async function mapsOf(
  folder: string,
  retrieval: Retrieval,
  onProgress: (what: string) => void,
): Promise<MapPoints[]> {
  const { numLearners, numQueries } = retrieval.embedding;
  // The learner of a run that has one is the full embedding.
  const fitting = numLearners > 1 ? Math.min(numLearners, Math.floor(MAX_MAP_POINTS / numQueries) - 1) : 0;
  const learners = Array.from({ length: Math.max(0, fitting) }, (_, learner) => learner);
  const maps = new EmbeddingMaps();
  const found: MapPoints[] = [];
  for (const learner of ['full', ...learners] as const) {
    onProgress(
      `laying out the map of the ${learner === 'full' ? 'full embedding' : `embedding of learner ${learner + 1}`}`,
    );
    const map = await maps.wait(folder, retrieval, learner);
    if (map) found.push(map);
  }
  await maps.close();
  return found;
}

async function masksOf(run: Run): Promise<MasksOfEpoch[]> {
  const { epochs } = await run.masksIndex();
  const each = Math.ceil(epochs.length / MAX_MASKS);
  const chosen = epochs.filter((_, i) => (epochs.length - 1 - i) % Math.max(1, each) === 0);
  const masks = await Promise.all(chosen.map(({ epoch }) => run.masksOf(epoch)));
  return masks.filter((some) => some !== null);
}

async function heldQueries(retrieval: Retrieval): Promise<ReportData['retrieval']> {
  const { numQueries } = retrieval.embedding;
  const limit = numQueries <= ALL_QUERIES ? numQueries : SOME_QUERIES;
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
function shownImages({ retrieval, classes }: ReportData): ImageRef[] {
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
  folders: readonly string[],
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
  for (let at = 0; at < keys.length && bytes < MAX_IMAGE_BYTES; at += 8) {
    const some = keys.slice(at, at + 8).map(async ([key, { set, index }]) => {
      const path = embedding.imagePath(set, index);
      if (path === null || !(await liesInOneOf(path, folders))) return;
      const picture = await thumbnail(path, THUMBNAIL, 70);
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
  if (page === undefined) throw new UserError('the page is not built: run npm run build:ts');
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
    `script-src ${hashes.join(' ')} 'unsafe-eval'`,
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
