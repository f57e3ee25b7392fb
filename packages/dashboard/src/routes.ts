import { DamagedFile } from '@conquer-dml/run';
import { type Context, Hono } from 'hono';
import type { ApiError, LearnerChoice, RetrievalOrder } from './api.js';
import { keptMap, NoMap } from './kept-map.js';
import { packMap } from './map-points.js';
import type { Retrieval } from './retrieval.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import {
  imageFolders,
  imageTag,
  liesInOneOf,
  type RowReader,
  THUMBNAIL_SIZES,
  thumbnail,
} from './thumbnails.js';

/** A request that gets no answer. */
class Refusal extends Error {
  constructor(
    readonly status: 400 | 404 | 422,
    readonly code: ApiError['code'],
    message: string,
  ) {
    super(message);
  }
}

export interface RouteOptions {
  runs: Runs;
  /** Folders, other than their data sets', that runs' images may lie in. */
  dataDirs: readonly string[];
  readRow?: RowReader | undefined;
}

/** The answers that api.ts lists, below `api/`. Events are the server's. */
export function apiRoutes({ runs, dataDirs, readRow }: RouteOptions): Hono {
  const api = new Hono();

  const runOf = async (context: Context): Promise<Run> => {
    await runs.refresh();
    const run = runs.get(context.req.param('id') ?? '');
    if (run === null) throw new Refusal(404, 'unknown', 'there is no such run');
    return run;
  };
  const retrievalOf = async (run: Run): Promise<Retrieval> => {
    const retrieval = await runs.retrieval(run);
    if (retrieval === null) throw new Refusal(404, 'absent', 'this run holds no embeddings');
    return retrieval;
  };

  api.get('/runs', async (context) => {
    await runs.refresh();
    return context.json(runs.answer());
  });
  api.get('/runs/:id', async (context) => context.json(await (await runOf(context)).detail()));
  api.get('/runs/:id/masks', async (context) => {
    const index = await (await runOf(context)).masksIndex();
    if (index.epochs.length === 0) throw new Refusal(404, 'absent', 'this run holds no masks');
    return context.json(index);
  });
  api.get('/runs/:id/masks/:epoch', async (context) => {
    const run = await runOf(context);
    const masks = await run.masksOf(whole('epoch', context.req.param('epoch'), -1));
    if (masks === null) throw new Refusal(404, 'absent', 'this run holds no masks of this epoch');
    return context.json(masks);
  });
  api.get('/runs/:id/embedding', async (context) =>
    context.json((await retrievalOf(await runOf(context))).embedding.info()),
  );
  api.get('/runs/:id/map', async (context) => {
    const run = await runOf(context);
    const retrieval = await retrievalOf(run);
    const map = await keptMap(run.folder, retrieval, learnerOf(context, retrieval));
    context.header('Content-Type', 'application/octet-stream');
    return context.body(packMap(map));
  });
  api.get('/runs/:id/retrieval', async (context) => {
    const retrieval = await retrievalOf(await runOf(context));
    const query = context.req.query();
    const order = query.order ?? 'worst';
    if (!isOrder(order)) throw new Refusal(400, 'bad-request', 'order: expected worst, random or index');
    return context.json(
      await retrieval.page({
        order,
        seed: whole('seed', query.seed ?? '1', 0),
        label: query.label === undefined ? null : whole('label', query.label, 0),
        learner: learnerOf(context, retrieval),
        k: whole('k', query.k ?? '10', 1),
        offset: whole('offset', query.offset ?? '0', 0),
        limit: whole('limit', query.limit ?? '20', 1, 100),
      }),
    );
  });
  api.get('/runs/:id/neighbours/:query', async (context) => {
    const retrieval = await retrievalOf(await runOf(context));
    const query = whole('query', context.req.param('query'), 0);
    if (query >= retrieval.embedding.numQueries)
      throw new Refusal(404, 'unknown', 'there is no such test image');
    const k = whole('k', context.req.query('k') ?? '10', 1);
    return context.json(retrieval.item(query, learnerOf(context, retrieval), k));
  });
  api.get('/runs/:id/classes', async (context) =>
    context.json((await retrievalOf(await runOf(context))).classes()),
  );
  api.get('/runs/:id/images/:set/:index', async (context) => {
    const run = await runOf(context);
    const { embedding } = await retrievalOf(run);
    const set = context.req.param('set');
    const size = whole('size', context.req.query('size') ?? '96', 1);
    const sizes: readonly number[] = THUMBNAIL_SIZES;
    if (!sizes.includes(size))
      throw new Refusal(400, 'bad-request', `size: expected one of ${sizes.join(', ')}`);
    if (set !== 'query' && set !== 'gallery') throw new Refusal(404, 'unknown', 'there is no such image');
    const path = embedding.imagePath(set, whole('index', context.req.param('index'), 0));
    const folders = await imageFolders(run.summary().settings, runs.parent, dataDirs);
    const isShown = path !== null && (await liesInOneOf(path, folders));
    // A place is another image's once the embeddings are others, and a file may hold another picture: the browser asks each time.
    const tag = isShown ? await imageTag(path, size) : null;
    context.header('Cache-Control', 'private, no-cache');
    if (tag !== null) context.header('ETag', tag);
    if (tag !== null && context.req.header('If-None-Match') === tag) return context.body(null, 304);
    const picture = isShown ? await thumbnail(path, size, { readRow }) : null;
    if (picture === null) throw new Refusal(404, 'absent', 'this image cannot be shown');
    context.header('Content-Type', 'image/webp');
    return context.body(new Uint8Array(picture));
  });
  api.all('*', () => {
    throw new Refusal(404, 'unknown', 'there is no such address');
  });

  api.onError((error, context) => {
    const answer = (status: 400 | 404 | 422 | 500, code: ApiError['code'], message: string) =>
      context.json({ code, message } satisfies ApiError, status);
    if (error instanceof Refusal) return answer(error.status, error.code, error.message);
    if (error instanceof NoMap) return answer(404, 'absent', error.message);
    if (error instanceof DamagedFile)
      return answer(422, 'damaged', `embeddings.safetensors cannot be read: ${error.message}`);
    process.stderr.write(`dashboard: ${context.req.path}: ${error.stack}\n`);
    return answer(500, 'internal', 'the dashboard failed at this; its terminal says how');
  });
  return api;
}

function whole(name: string, text: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const number = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most)) {
    const range = most < Number.MAX_SAFE_INTEGER ? `${least} to ${most}` : `at least ${least}`;
    throw new Refusal(400, 'bad-request', `${name}: expected a whole number, ${range}`);
  }
  return number;
}

function learnerOf(context: Context, { embedding }: Retrieval): LearnerChoice {
  const text = context.req.query('learner') ?? 'full';
  if (text === 'full') return 'full';
  const learner = whole('learner', text, 0);
  if (learner >= embedding.numLearners) throw new Refusal(404, 'unknown', 'there is no such learner');
  return learner;
}

const isOrder = (text: string): text is RetrievalOrder =>
  text === 'worst' || text === 'random' || text === 'index';
