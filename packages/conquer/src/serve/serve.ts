import type { AddressInfo } from 'node:net';
import { UserError } from '@conquer-dml/run';
import { limitsOf, type ServeLimits } from './limits.js';
import type { ServiceSource } from './open-service.js';
import { ServiceClient } from './service-client.js';
import { watchIndex } from './watch-index.js';

export const DEFAULT_PORT = 4281;

export interface ServeOptions extends Omit<ServiceSource, 'index' | 'model'> {
  /** The index that is searched; left out: there is only a model, which embeds and compares. */
  index?: string | undefined;
  /** What `openModel` opens; left out: what made the index. */
  model?: string | undefined;
  /** Where to listen; default 127.0.0.1. Any other address than loopback makes a token necessary. */
  host?: string | undefined;
  /** Default 4281; 0: any that is free. */
  port?: number | undefined;
  /** What requests must bring as `Authorization: Bearer`; drawn at random where one is necessary and none is given. */
  token?: string | undefined;
  limits?: Partial<ServeLimits> | undefined;
  /** Told of what is worth knowing. */
  onNote?: ((text: string) => void) | undefined;
  /** Told of what is a fault of the program: the request was answered with 500. */
  onFault?: ((error: unknown) => void) | undefined;
}

/** A service that runs. */
export interface Service {
  url: string;
  port: number;
  token: string | null;
  /** Settled when it has ended: in order after `close`, else with the error that ended it. */
  closed: Promise<void>;
  /** Takes nothing more, answers what is under way, and ends. */
  close(): Promise<void>;
}

/** Between two looks at whether the index was replaced, in milliseconds. */
const LOOK = 500;

/**
 * Serves an index, or a model alone, over HTTP until it is closed: docs/serve.md.
 *
 * @throws UserError where neither is named, model or index cannot be opened, the token is too short, or the address cannot be
 *   listened on; RangeError for a limit that is none
 */
export async function serve(options: ServeOptions): Promise<Service> {
  const { index, model, host = '127.0.0.1', port = DEFAULT_PORT, onNote, ...rest } = options;
  const { token: givenToken, limits: givenLimits, onFault = () => {}, ...source } = rest;
  if (index === undefined && model === undefined)
    throw new UserError('serve: expected an index or a model, got neither');
  const limits = limitsOf(givenLimits);
  // Whoever imports the library and serves nothing does not wait for these.
  const [{ createAdaptorServer }, { listening, tokenFor }, { appOf }, { ServiceMetrics }] = await Promise.all(
    [
      import('@hono/node-server'),
      import('@conquer-dml/dashboard'),
      import('./app.js'),
      import('./service-metrics.js'),
    ],
  );
  const token = tokenFor(host, givenToken);
  const metrics = new ServiceMetrics();
  const client = await ServiceClient.start(
    { source: { ...source, index: index ?? null, ...(model !== undefined && { model }) }, limits },
    { onNote, onFault, onBatch: (images, seconds) => metrics.batch(images, seconds) },
  );
  metrics.watch(client);
  let stopping = false;
  const app = appOf({ client, metrics, limits, token, host, isStopping: () => stopping, onFault });
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      requestTimeout: limits.seconds * 1000,
      headersTimeout: Math.min(limits.seconds, 60) * 1000,
    },
  });
  let address: AddressInfo;
  try {
    address = await listening(server, port, host);
  } catch (error) {
    await client.close();
    throw error;
  }
  const watch = index === undefined ? null : watchIndex(index, LOOK, reloading(client, onNote));

  let closing: Promise<void> | undefined;
  const end = async () => {
    stopping = true;
    watch?.[Symbol.dispose]();
    const closed = new Promise<void>((done) => server.close(() => done()));
    // Those that wait for nothing would be waited for.
    if ('closeIdleConnections' in server) server.closeIdleConnections();
    await closed;
    await client.close();
  };
  const close = () => {
    closing ??= end();
    return closing;
  };
  // Without its model it has no answers: whoever supervises it starts it again.
  const ended = client.closed.catch(async (error: unknown) => {
    await close().catch(() => {});
    throw error;
  });
  ended.catch(() => {});
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${address.port}/`,
    port: address.port,
    token,
    closed: ended,
    close,
  };
}

/** @returns what takes the index as it is on the disk now, and says whether that went well; a reason is told once */
function reloading(client: ServiceClient, onNote: ServeOptions['onNote']): () => Promise<boolean> {
  let told = '';
  return async () => {
    try {
      const { count, changed } = await client.ask({ kind: 'reload' });
      if (changed) onNote?.(`the index was replaced: ${count} items`);
      told = '';
      return true;
    } catch (error) {
      const reason = (error as Error).message;
      if (reason !== told)
        onNote?.(`the index on the disk cannot be served, the one before goes on: ${reason}`);
      told = reason;
      return false;
    }
  };
}
