import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { CONTENT_SECURITY_POLICY, isOwnHost, sameToken, tokenFor } from './access.js';
import type { ApiError } from './api.js';
import { EventStream } from './event-stream.js';
import { listening } from './listening.js';
import { pageFiles } from './page-files.js';
import { apiRoutes } from './routes.js';
import { Runs } from './runs.js';
import type { RowReader } from './thumbnails.js';

export const DEFAULT_PORT = 4280;

export interface DashboardOptions {
  /** A folder of run folders, or a run folder. */
  runsDir: string;
  /** Where to listen; default 127.0.0.1. Any other address than loopback makes a token necessary. */
  host?: string | undefined;
  /** Default 4280; 0: any that is free. */
  port?: number | undefined;
  /** What requests must bring; drawn at random where one is necessary and none is given. */
  token?: string | undefined;
  /** Folders, other than those of the runs' data sets, whose images may be shown. */
  dataDirs?: readonly string[] | undefined;
  /** Reads images in Parquet files; without it they are not shown. */
  readRow?: RowReader | undefined;
  /** Milliseconds between two looks at the runs' files while a page is open; default 1000. */
  interval?: number | undefined;
  /** The built page; default this package's. */
  pageDir?: string | undefined;
}

export interface Dashboard {
  /** To open in a browser, with the token if there is one. */
  url: string;
  port: number;
  token: string | null;
  close(): Promise<void>;
}

/**
 * Serves the page of a folder of runs until it is closed.
 *
 * @throws UserError when the folder is not there, the token is too short, or the address cannot be listened on
 */
export async function serveDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { host = '127.0.0.1', port = DEFAULT_PORT, interval = 1000, dataDirs = [], readRow } = options;
  const token = tokenFor(host, options.token);
  const events = new EventStream();
  const runs = await Runs.open(options.runsDir, (event) => events.send(event));
  const files = pageFiles(options.pageDir);
  const app = new Hono();
  let address: AddressInfo | null = null;

  app.use(async (context, next) => {
    context.header('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    context.header('X-Content-Type-Options', 'nosniff');
    context.header('Referrer-Policy', 'no-referrer');
    context.header('Cross-Origin-Resource-Policy', 'same-origin');
    context.header('Cross-Origin-Opener-Policy', 'same-origin');
    context.header('Cache-Control', 'no-store');
    const refuse = (message: string) => context.json({ code: 'forbidden', message } satisfies ApiError, 403);
    if (!isOwnHost(context.req.header('host'), host)) return refuse('this name is not the dashboard’s');
    if (token === null) return next();
    // Cookies do not tell ports apart.
    const cookie = `conquer-${address?.port}`;
    if (sameToken(context.req.query('token'), token)) {
      setCookie(context, cookie, token, { httpOnly: true, sameSite: 'Strict', path: '/' });
      // The token leaves the address bar, and with it the history and screenshots.
      if (context.req.path === '/') return context.redirect('./', 303);
      return next();
    }
    if (sameToken(getCookie(context, cookie), token)) return next();
    return refuse('a token is needed: open the address that conquer dashboard printed');
  });

  app.get('/api/events', (context) => {
    const stream = events.listen();
    if (stream === null)
      return context.json({ code: 'forbidden', message: 'too many open pages' } satisfies ApiError, 503);
    return context.body(stream, 200, { 'Content-Type': 'text/event-stream' });
  });
  app.route('/api', apiRoutes({ runs, dataDirs, readRow }));
  app.get('/*', (context) => {
    const name = context.req.path.slice(1) || 'index.html';
    const file = files.get(name);
    if (file) return context.body(new Uint8Array(file.content), 200, { 'Content-Type': file.type });
    const missing = name === 'index.html' ? 'The page is not built: npm run build\n' : 'not found\n';
    return context.text(missing, 404);
  });

  const server = createAdaptorServer({ fetch: app.fetch });
  address = await listening(server, port, host);

  const look = async () => {
    if (events.size === 0) return;
    try {
      await runs.refresh();
    } catch (error) {
      process.stderr.write(`dashboard: ${(error as Error).stack}\n`);
    }
  };
  const timer = setInterval(look, interval);

  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${address.port}/${token === null ? '' : `?token=${token}`}`,
    port: address.port,
    token,
    async close() {
      clearInterval(timer);
      events.close();
      await new Promise<void>((done) => {
        server.close(() => done());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
    },
  };
}
