import { spawn } from 'node:child_process';
import { IndexFolder, RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { folderOf } from '../../retrieve/stores/stores.js';
import { loadDashboard, pictureFolders, rowReader } from '../dashboard-module.js';
import { findRun } from '../runs.js';

export function add(program: Command): undefined {
  program
    .command('dashboard')
    .description('look at runs in the browser: curves, maps, retrievals')
    .argument('[runs]', 'a folder of runs, a run, or an index', 'runs')
    .option('--host <address>', 'where to listen; any but loopback makes a token necessary [127.0.0.1]')
    .option('--port <n>', 'of the address; 0: any that is free [4280]')
    .option('--token <text>', 'what the address must hold (drawn at random where it is necessary)')
    .option('--open', 'open it in the browser')
    .addHelpText('after', '\nExample: conquer dashboard runs --open')
    .action(async (named: string, options: Omit<DashboardCommand, 'runsDir' | 'out'>) => {
      const runsDir = folderOf(named);
      const index = new IndexFolder(runsDir);
      const isIndex = index.exists();
      if (isIndex && !RunFolder.exists(index.map))
        throw new UserError(
          `${runsDir} is an index that was not mapped since its items changed: conquer map ${runsDir}`,
        );
      const shown = isIndex
        ? { runsDir: index.map, title: `The map of ${runsDir}`, view: '#/map' }
        : { runsDir: findRun(runsDir), title: `The runs in ${findRun(runsDir)}`, view: '' };
      await runDashboard({ ...shown, ...options, out: process.stdout });
    });
}

interface DashboardCommand {
  runsDir: string;
  title: string;
  /** Of the page, behind its address. */
  view: string;
  host?: string;
  port?: string;
  token?: string;
  open?: boolean;
  out: NodeJS.WritableStream;
}

/** Serves the page until Ctrl-C. */
async function runDashboard(command: DashboardCommand): Promise<void> {
  const { runsDir, title, view, host, port, token, open, out } = command;
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65535))
    throw new UserError(`--port: expected a number from 0 to 65535, got '${port}'`);
  const { serveDashboard } = await loadDashboard();
  const dashboard = await serveDashboard({
    runsDir,
    dataDirs: pictureFolders(),
    readRow: rowReader(),
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port: Number(port) }),
    ...(token !== undefined && { token }),
  });
  const url = `${dashboard.url}${view}`;
  out.write(`${title}: ${url}\n`);
  if (dashboard.token !== null) out.write('Whoever has this address sees the runs and their test images.\n');
  out.write('Ctrl-C ends it.\n');
  if (open) openInBrowser(url, out);
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
