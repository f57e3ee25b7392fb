import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { UserError } from '@conquer/run';
import { cacheFolder } from '../cache-folder.js';

/** What @conquer/dashboard offers. It is built after this package, whose run folder it reads, so that its types are told here. */
export interface DashboardModule {
  serveDashboard(options: {
    runsDir: string;
    host?: string;
    port?: number;
    token?: string;
    dataDirs: string[];
  }): Promise<{ url: string; token: string | null; close(): Promise<void> }>;
  writeReport(options: {
    runs: string[];
    out?: string;
    dataDirs: string[];
    onProgress(what: string): void;
  }): Promise<{ file: string; bytes: number }>;
}

/** @throws UserError when it is not built */
export async function loadDashboard(): Promise<DashboardModule> {
  const name = '@conquer/dashboard';
  try {
    return await import(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UserError('the dashboard is not built: run npm run build');
  }
}

/** Where the embedded data sets' pictures are, which runs refer to. */
export const pictureFolders = (): string[] => [join(cacheFolder(), 'emoji')];

export interface DashboardCommand {
  runsDir: string;
  host?: string;
  port?: string;
  token?: string;
  open?: boolean;
  out: NodeJS.WritableStream;
}

/** `conquer dashboard`: serves the page until Ctrl-C. */
export async function runDashboard({
  runsDir,
  host,
  port,
  token,
  open,
  out,
}: DashboardCommand): Promise<void> {
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535))
    throw new UserError(`--port: expected a number from 0 to 65535, got '${port}'`);
  const { serveDashboard } = await loadDashboard();
  const dashboard = await serveDashboard({
    runsDir,
    dataDirs: pictureFolders(),
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port: Number(port) }),
    ...(token !== undefined && { token }),
  });
  out.write(`The runs in ${runsDir}: ${dashboard.url}\n`);
  if (dashboard.token !== null) out.write('Whoever has this address sees the runs and their test images.\n');
  out.write('Ctrl-C ends it.\n');
  if (open) openInBrowser(dashboard.url, out);
  await new Promise<void>((done) => {
    process.once('SIGINT', done);
    process.once('SIGTERM', done);
  });
  await dashboard.close();
}

function openInBrowser(url: string, out: NodeJS.WritableStream): void {
  const command = process.platform === 'darwin' ? 'open' : 'xdg-open';
  const child = spawn(command, [url], { stdio: 'ignore', detached: true });
  child.on('error', () => out.write(`${command} does not run: open the address yourself\n`));
  child.unref();
}
