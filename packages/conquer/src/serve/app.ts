import { isOwnHost, sameToken } from '@conquer-dml/dashboard';
import type { Json } from '@conquer-dml/run';
import type { HttpBindings } from '@hono/node-server';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { secureHeaders } from 'hono/secure-headers';
import { VERSION } from '../version.js';
import type { ServeLimits } from './limits.js';
import { PAGE } from './page.js';
import { Problem } from './problem.js';
import { cameAs, requestMistake } from './request-mistake.js';
import { parametersOf, routesWith } from './routes.js';
import type { ServiceClient } from './service-client.js';
import type { ServiceMetrics } from './service-metrics.js';
import { uploadOf } from './uploads.js';

export interface AppOptions {
  client: ServiceClient;
  metrics: ServiceMetrics;
  limits: ServeLimits;
  /** What requests must bring; null: nothing. */
  token: string | null;
  /** Where it listens: requests that name another host are refused. */
  host: string;
  /** Whether the service is about to end. */
  isStopping: () => boolean;
  /** Told of what is a fault of the program. */
  onFault: (error: unknown) => void;
}

/** What is no route of the document's. */
const OTHERS = new Set(['/', '/metrics', '/openapi.json']);

/** The same without a token: they say nothing of what the index holds. */
const OPEN = new Set(['/', '/health', '/openapi.json']);

const DESCRIPTION = 'Images in, embeddings and what is most like them out. Errors are one line of JSON.';

/** The service over HTTP. */
export function appOf(options: AppOptions): OpenAPIHono<{ Bindings: HttpBindings }> {
  const { client, metrics, limits, token, host } = options;
  const routes = routesWith(limits);
  const known = Object.values(routes);
  const app = new OpenAPIHono<{ Bindings: HttpBindings }>({
    defaultHook: (result, { req }) => {
      if (result.success) return;
      const { target, data, error } = result as typeof result & { data?: unknown };
      const route = known.find(
        ({ method, path }) => method === req.method.toLowerCase() && matches(path, req.path),
      );
      throw new Problem(400, requestMistake(target, data, error.issues, parametersOf(route)));
    },
  });

  const methodsOf = (actual: string): string[] => {
    const own = known.flatMap(({ method, path }) => (matches(path, actual) ? [method.toUpperCase()] : []));
    return OTHERS.has(actual) ? ['GET'] : own;
  };

  app.use(async (context, next) => {
    const start = performance.now();
    await next();
    const { path } = context.req;
    const route = OTHERS.has(path) ? path : known.find((each) => matches(each.path, path))?.path;
    metrics.answered(route ?? 'other', context.res.status, (performance.now() - start) / 1000);
  });
  app.use(secureHeaders({ contentSecurityPolicy: PAGE.policy }));
  app.use(async (context, next) => {
    context.header('Cache-Control', 'no-store');
    // A connection that is kept would keep the service.
    if (options.isStopping()) context.header('Connection', 'close');
    if (token === null && !isOwnHost(context.req.header('host'), host))
      throw new Problem(
        403,
        `this service is not ${context.req.header('host') ?? 'one without a Host header'}`,
      );
    if (token !== null && !OPEN.has(context.req.path)) {
      const [scheme, given] = (context.req.header('authorization') ?? '').split(' ');
      if (scheme?.toLowerCase() !== 'bearer' || !sameToken(given, token)) {
        context.header('WWW-Authenticate', 'Bearer');
        throw new Problem(401, 'expected the service’s token: Authorization: Bearer TOKEN');
      }
    }
    await next();
  });
  app.use(
    bodyLimit({
      maxSize: limits.bodyBytes,
      onError: () => {
        throw new Problem(
          413,
          `expected a body of at most ${limits.bodyBytes} bytes: send fewer or smaller images`,
        );
      },
    }),
  );

  /** Gone once whoever asked has: what has not begun is then not done. */
  const goneOf = (context: Context) => context.req.raw.signal;

  app.openapi(routes.embed, async (context) => {
    const { images } = await uploadOf(context.req.raw, limits);
    return context.json(await client.ask({ kind: 'embed', images }, goneOf(context)), 200);
  });
  app.openapi(routes.search, async (context) => {
    requireIndex(client);
    const {
      explain,
      classify,
      approximate,
      label = null,
      maxFalseMatch = null,
      ...how
    } = context.req.valid('query');
    const { images } = await uploadOf(context.req.raw, limits);
    const flags = {
      explain: explain === 'true',
      classify: classify === 'true',
      approximate: approximate === 'true',
    };
    const job = { kind: 'search', images, ...how, label, maxFalseMatch, ...flags } as const;
    return context.json(await client.ask(job, goneOf(context)), 200);
  });
  app.openapi(routes.verify, async (context) => {
    const { explain, maxFalseMatch = null } = context.req.valid('query');
    const { images } = await uploadOf(context.req.raw, limits);
    if (images.length !== 2) throw new Problem(400, `expected a form of two images, got ${images.length}`);
    const job = { kind: 'verify', images, maxFalseMatch, explain: explain === 'true' } as const;
    return context.json(await client.ask(job, goneOf(context)), 200);
  });
  app.openapi(routes.list, async (context) => {
    requireIndex(client);
    const { after = null, limit } = context.req.valid('query');
    const { items, count } = await client.ask({ kind: 'list', after, limit }, goneOf(context));
    return context.json(
      { items, count, next: items.length === limit ? (items.at(-1)?.id ?? null) : null },
      200,
    );
  });
  app.openapi(routes.add, async (context) => {
    requireIndex(client);
    const { images, fields } = await uploadOf(context.req.raw, limits, ['id', 'labels', 'payload']);
    const item = itemOf(fields);
    return context.json(await client.ask({ kind: 'add', images, item }, goneOf(context)), 200);
  });
  app.openapi(routes.remove, async (context) => {
    requireIndex(client);
    const { id } = context.req.valid('param');
    return context.json(await client.ask({ kind: 'remove', id }, goneOf(context)), 200);
  });
  app.openapi(routes.health, (context) =>
    context.json(
      {
        status: options.isStopping() ? 'stopping' : 'ok',
        ...client.info,
        waiting: client.waitingImages,
      } as const,
      200,
    ),
  );
  app.get('/metrics', async (context) =>
    context.text(await metrics.text(), 200, { 'Content-Type': metrics.contentType }),
  );
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'conquer', version: VERSION, description: DESCRIPTION },
    ...(token !== null && { security: [{ token: [] }] }),
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' });
  app.get('/', (context) => context.html(PAGE.html));

  app.notFound((context) => {
    const { method, path } = context.req;
    const allowed = methodsOf(path);
    if (allowed.length === 0)
      return answer(context, new Problem(404, `there is no ${path}: /openapi.json says what there is`));
    if (allowed.includes(method))
      return answer(context, new Problem(404, `there is no ${path}: write each / of an id as %2F`));
    context.header('Allow', allowed.join(', '));
    return answer(context, new Problem(405, `${path} takes ${allowed.join(' and ')}, got ${method}`));
  });
  app.onError((error, context) => {
    if (error instanceof Problem) return answer(context, error);
    options.onFault(error);
    return answer(context, new Problem(500, 'the service failed, which is a bug: its log says where'));
  });
  return app;
}

function answer(context: Context, { status, message, retryAfter }: Problem) {
  if (retryAfter !== undefined) context.header('Retry-After', String(retryAfter));
  return context.json({ status, error: message }, status);
}

function requireIndex({ info }: ServiceClient): void {
  if (info.index === null)
    throw new Problem(404, 'there is no index here, only a model: start the service with an index');
}

/** What an item is, of the fields of a form. @throws Problem 400 */
function itemOf(fields: ReadonlyMap<string, string>): { id: string; labels: string[]; payload: Json } {
  const id = fields.get('id') ?? '';
  if (id === '' || id.includes('\0'))
    throw new Problem(400, `expected a field id, the name of the item, got ${cameAs(fields.get('id'))}`);
  const labels = fields.get('labels') ?? '';
  const listed = labels.startsWith('[') ? parsed('labels', labels) : labels === '' ? [] : [labels];
  if (!Array.isArray(listed) || !listed.every((each) => typeof each === 'string' && each !== ''))
    throw new Problem(400, `expected as labels a text, or a JSON list of texts, got ${cameAs(labels)}`);
  const payload = fields.get('payload');
  return { id, labels: listed, payload: payload === undefined ? null : parsed('payload', payload) };
}

function parsed(name: string, text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new Problem(
      400,
      `the field ${name} is no JSON: ${(error as Error).message}; expected JSON, got ${cameAs(text)}`,
    );
  }
}

/** A route's path with its parameters, {id}, filled. */
const matches = (path: string, actual: string) =>
  path.includes('{') ? actual.startsWith(path.slice(0, path.indexOf('{'))) : path === actual;
