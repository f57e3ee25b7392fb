import { Worker } from 'node:worker_threads';
import { builtModule } from '@conquer-dml/run';
import { arrived } from '../carried-error.js';
import type { Answers, Job, ServiceInfo } from './jobs.js';
import type { ServeLimits } from './limits.js';
import { Problem } from './problem.js';
import type { FromService, ServiceThreadData, ToService } from './service-thread.js';

/** What is told of the service's thread. */
export interface ServiceObserver {
  onNote?: ((text: string) => void) | undefined;
  /** Told of what is a fault of the program. */
  onFault?: ((error: unknown) => void) | undefined;
  /** Images that went through the network together, and how long it took. */
  onBatch?: ((images: number, seconds: number) => void) | undefined;
}

interface Waiting {
  images: number;
  bytes: number;
  done: (answer: never) => void;
  failed: (error: Error) => void;
}

/**
 * The model and its index in a thread of their own, as this thread sees them: this one is never busy, and answers /health
 * while images go through the network.
 */
export class ServiceClient {
  #waiting = new Map<number, Waiting>();
  #next = 0;
  #waitingImages = 0;
  #waitingBytes = 0;
  #closed: Promise<void>;
  #ended = false;

  private constructor(
    private readonly worker: Worker,
    private readonly limits: ServeLimits,
    private last: ServiceInfo,
    { onNote, onBatch, onFault }: ServiceObserver,
  ) {
    worker.on('message', (message: FromService) => {
      if ('note' in message) onNote?.(message.note);
      else if ('fault' in message) onFault?.(arrived(message.fault));
      else if ('batch' in message) onBatch?.(message.batch.images, message.batch.seconds);
      else if ('id' in message) {
        this.last = message.info;
        const waiting = this.#taken(message.id);
        if ('answer' in message) waiting?.done(message.answer as never);
        else waiting?.failed(new Problem(message.problem.status, message.problem.message));
      }
    });
    this.#closed = new Promise((done, failed) => {
      worker.once('error', failed);
      worker.once('exit', (code) =>
        code === 0 ? done() : failed(new Error(`the model's thread ended with ${code}`)),
      );
    });
    // Whoever waits for it hears of it; until then it is no error that nobody does.
    this.#closed.catch(() => {});
    void this.#closed.finally(() => this.#end()).catch(() => {});
  }

  /** @throws what opening the model or the index throws */
  static async start(data: ServiceThreadData, observer: ServiceObserver): Promise<ServiceClient> {
    const worker = new Worker(builtModule('./service-thread.js', import.meta.url), { workerData: data });
    let forget = () => {};
    try {
      const info = await new Promise<ServiceInfo>((ready, failed) => {
        const onMessage = (message: FromService) => {
          if ('ready' in message) ready(message.ready);
          else if ('failed' in message) failed(arrived(message.failed));
          else if ('note' in message) observer.onNote?.(message.note);
        };
        const onExit = (code: number) => failed(new Error(`the model's thread ended with ${code}`));
        worker.on('message', onMessage).on('error', failed).on('exit', onExit);
        // One by one: a worker has listeners of its own.
        forget = () => void worker.off('message', onMessage).off('error', failed).off('exit', onExit);
      });
      return new ServiceClient(worker, data.limits, info, observer);
    } finally {
      forget();
    }
  }

  /** As it was at the last answer. */
  get info(): ServiceInfo {
    return this.last;
  }

  /** Images that wait for the network. */
  get waitingImages(): number {
    return this.#waitingImages;
  }

  /** Settled when the thread has ended: in order after `close`, else with the error that ended it. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /**
   * @param signal of the one who asked: once aborted, a job that has not begun is not done
   * @throws Problem 503 where too much waits already, 504 where it takes longer than the limit, and what comes of the job
   */
  async ask<K extends Job['kind']>(job: Job & { kind: K }, signal?: AbortSignal): Promise<Answers[K]> {
    const { waitingImages, waitingBytes, seconds } = this.limits;
    const all = 'images' in job ? job.images : [];
    const bytes = all.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (this.#ended) throw new Problem(503, 'the service is stopping');
    // One request that is within its own limits always fits where nothing waits.
    if (
      this.#waitingImages > 0 &&
      (this.#waitingImages + all.length > waitingImages || this.#waitingBytes + bytes > waitingBytes)
    )
      throw new Problem(503, `${this.#waitingImages} images wait already: come again in a second`, 1);
    const id = this.#next++;
    const cancel = (problem: Problem) => {
      this.#taken(id)?.failed(problem);
      this.#post({ cancel: id });
    };
    const timer = setTimeout(
      () =>
        cancel(
          new Problem(504, `there was no answer within ${seconds} s: ask for less at once, or later`, 1),
        ),
      seconds * 1000,
    );
    const onAbort = () => cancel(new Problem(408, 'whoever asked has gone'));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise<Answers[K]>((done, failed) => {
        this.#waiting.set(id, { images: all.length, bytes, done, failed });
        this.#waitingImages += all.length;
        this.#waitingBytes += bytes;
        this.#post({ id, job }, all);
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends the thread once it has answered all that waits. */
  async close(): Promise<void> {
    if (!this.#ended) this.#post({ close: true });
    await this.#closed;
  }

  #post(message: ToService, images: readonly Uint8Array[] = []): void {
    this.worker.postMessage(message, [...new Set(images.map(({ buffer }) => buffer as ArrayBuffer))]);
  }

  #taken(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    if (!waiting) return undefined;
    this.#waiting.delete(id);
    this.#waitingImages -= waiting.images;
    this.#waitingBytes -= waiting.bytes;
    return waiting;
  }

  #end(): void {
    this.#ended = true;
    for (const id of [...this.#waiting.keys()])
      this.#taken(id)?.failed(new Problem(500, "the model's thread has ended: start the service again"));
  }
}
