import { IndexFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import type { AskedPrecision } from '../../precision.js';
import { placeOf, storeAddress } from '../../retrieve/stores/stores.js';
import type { ServeLimits } from '../../serve/limits.js';
import { precisionOption } from '../embedding-flags.js';
import { findRun } from '../runs.js';
import { wholeNumberOf } from '../whole-number.js';

interface ServeFlags {
  model?: string;
  folder?: string;
  host?: string;
  port?: string;
  token?: string;
  device?: string;
  precision?: AskedPrecision;
  threads?: string;
  plugin?: string;
  maxBytes?: string;
  maxPixels?: string;
  maxImages?: string;
  maxWaiting?: string;
  timeout?: string;
}

/** The limits that can be typed, by what they are called there. */
const LIMITS = {
  maxBytes: 'bodyBytes',
  maxPixels: 'pixels',
  maxImages: 'images',
  maxWaiting: 'waitingImages',
  timeout: 'seconds',
} as const satisfies Partial<Record<keyof ServeFlags, keyof ServeLimits>>;

export function add(program: Command): undefined {
  program
    .command('serve')
    .description('answer over HTTP: embed, search an index, compare')
    .argument(
      '<index>',
      'what conquer index wrote, or its --store; or a run or a model, to embed and compare alone',
    )
    .option('--model <name>', "the index's run or weights, if they are no longer where they were")
    .option('--folder <folder>', 'the folder of the indexed images, if it is no longer where it was')
    .option('--host <address>', 'where to listen; any but loopback makes a token necessary [127.0.0.1]')
    .option('--port <n>', 'of the address; 0: any that is free [4281]')
    .option('--token <text>', 'what requests must bring (drawn at random where it is necessary)')
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .addOption(precisionOption('[float32]'))
    .option('--threads <n>', 'of libtorch [one a core]')
    .option('--max-bytes <n>', 'of a request [33554432]')
    .option('--max-pixels <n>', 'of an image [50000000]')
    .option('--max-images <n>', 'of a request [64]')
    .option('--max-waiting <n>', 'images that wait; requests beyond are sent away [512]')
    .option('--timeout <seconds>', 'until an answer [30]')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .addHelpText('after', '\nExample: conquer serve photos.index --port 8080')
    .action(runServe);
}

/** Serves until Ctrl-C or SIGTERM; what is under way is answered first. */
async function runServe(target: string, options: ServeFlags): Promise<void> {
  const { model, folder, host, token, device, precision, plugin } = options;
  const isStore = storeAddress(target)?.kind != null;
  const index = isStore || new IndexFolder(placeOf(target)).exists() ? placeOf(target) : undefined;
  if (index === undefined && (model !== undefined || folder !== undefined))
    throw new UserError(
      `serve: ${target} is no index: ${model === undefined ? '--folder' : '--model'} belongs to one that conquer index wrote`,
    );
  const note = (text: string) => void process.stderr.write(`note: ${text}\n`);
  const { serve } = await import('../../serve/serve.js');
  const service = await serve({
    ...(index === undefined ? { model: findRun(target) } : { index, folder, model: model && findRun(model) }),
    ...{ host, token, device, precision, onNote: note },
    ...(options.port !== undefined && {
      port: wholeNumberOf('--port', options.port, { least: 0, most: 65535 }),
    }),
    ...(options.threads !== undefined && { threads: wholeNumberOf('--threads', options.threads) }),
    ...(plugin !== undefined && { plugins: [plugin] }),
    limits: limitsOf(options),
    onFault: (error) =>
      void process.stderr.write(
        `error: this is a bug, please report it: ${(error as Error).stack ?? error}\n`,
      ),
  });
  process.stdout.write(`${target}: ${service.url}\n`);
  if (service.token !== null && token === undefined)
    process.stdout.write(`Requests need the header  Authorization: Bearer ${service.token}\n`);
  process.stdout.write('Ctrl-C ends it; what is under way is answered first.\n');
  const stop = () => void service.close();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  await service.closed;
}

function limitsOf(flags: ServeFlags): Partial<ServeLimits> {
  return Object.fromEntries(
    Object.entries(LIMITS).flatMap(([flag, limit]) => {
      const text = flags[flag as keyof typeof LIMITS];
      const name = `--${flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return text === undefined ? [] : [[limit, wholeNumberOf(name, text)]];
    }),
  );
}
