import { parentPort, workerData } from 'node:worker_threads';

/** What the worker is asked to do. */
export type WandbRequest =
  | { kind: 'log'; data: Record<string, number>; step: number }
  | { kind: 'finish'; code: number };

/** What it answers; 'problem': what the SDK wrote to the console, which is all that tells of a failure. */
export type WandbAnswer = { kind: 'ready' } | { kind: 'finished' } | { kind: 'problem'; text: string };

/** How its run begins. */
export interface WandbStart {
  project: string;
  entity: string;
  id: string;
  name: string;
  config: Record<string, string | number | boolean | null>;
  settings: { apiKey: string; baseUrl: string };
}

/** What the SDK offers, in so far as it is used. */
interface Wandb {
  init(options: Omit<WandbStart, 'settings'> & { settings: object }): Promise<unknown>;
  log(data: Record<string, number>, step: number): void;
  finish(code: number): Promise<void>;
}

// The SDK lives here alone: it prints, listens to signals, ends the process and retries for half an hour, none of which
// a run may suffer. The main thread ends the worker when it likes.
const port = parentPort;
if (port) {
  const answer = (message: WandbAnswer) => port.postMessage(message);
  console.log = () => {};
  console.error = (...parts: unknown[]) => answer({ kind: 'problem', text: parts.map(textOf).join(' ') });
  try {
    // Its types name browser globals that this project does not have.
    const name: string = '@wandb/sdk';
    const { wandb } = (await import(name)) as { wandb: Wandb };
    const start = workerData as WandbStart;
    await wandb.init({ ...start, settings: { ...start.settings, offline: false, silent: true } });
    port.on('message', (request: WandbRequest) => {
      if (request.kind === 'log') wandb.log(request.data, request.step);
      else
        wandb.finish(request.code).then(
          () => answer({ kind: 'finished' }),
          (error: unknown) => answer({ kind: 'problem', text: textOf(error) }),
        );
    });
    answer({ kind: 'ready' });
  } catch (error) {
    answer({ kind: 'problem', text: textOf(error) });
  }
}

function textOf(value: unknown): string {
  return (value instanceof Error ? value.message : String(value)).split('\n')[0] ?? '';
}
