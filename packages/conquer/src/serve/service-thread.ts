import { parentPort, workerData } from 'node:worker_threads';
import { type CarriedError, carried } from '../carried-error.js';
import type { Job, ServiceInfo } from './jobs.js';
import type { ServeLimits } from './limits.js';
import { openService, type ServiceSource } from './open-service.js';
import { Problem } from './problem.js';

/** What the thread is to serve. Plain data. */
export interface ServiceThreadData {
  source: ServiceSource;
  limits: ServeLimits;
}

/** To the thread: a job, word that nobody waits for one any more, or that it is to end once it has answered all. */
export type ToService = { id: number; job: Job } | { cancel: number } | { close: true };

/** From the thread: that it is ready or why not, what came of a job, and what went through the network together. */
export type FromService =
  | { ready: ServiceInfo }
  | { failed: CarriedError }
  | { id: number; answer: unknown; info: ServiceInfo }
  | { id: number; problem: { status: Problem['status']; message: string }; info: ServiceInfo }
  | { batch: { images: number; seconds: number } }
  | { note: string }
  | { fault: CarriedError };

/** Images that go through the network together. */
const BATCH = 64;

const port = parentPort!;
const { source, limits } = workerData as ServiceThreadData;
const say = (message: FromService) => port.postMessage(message);

const imagesOf = (job: Job) => ('images' in job ? job.images.length : 0);

try {
  const service = await openService(source, limits, {
    onNote: (note) => say({ note }),
    onFault: (error) => say({ fault: carried(error) }),
  });
  const waiting: { id: number; job: Job }[] = [];
  let closing = false;
  let busy = false;

  /** Answers what waits, as much together as the network takes, until nothing is left. */
  const work = async () => {
    if (busy) return;
    busy = true;
    while (waiting.length > 0) {
      const taken = [waiting.shift()!];
      let images = imagesOf(taken[0]!.job);
      while (waiting.length > 0 && images + imagesOf(waiting[0]!.job) <= BATCH) {
        taken.push(waiting.shift()!);
        images += imagesOf(taken.at(-1)!.job);
      }
      const start = performance.now();
      const done = await service.answer(taken.map(({ job }) => job));
      if (images > 0) say({ batch: { images, seconds: (performance.now() - start) / 1000 } });
      const info = service.info();
      for (const [place, { id }] of taken.entries()) {
        const answer = done[place]!;
        if (answer instanceof Problem)
          say({ id, problem: { status: answer.status, message: answer.message }, info });
        else say({ id, answer, info });
      }
    }
    busy = false;
    if (closing) {
      service.close();
      port.close();
    }
  };

  port.on('message', (message: ToService) => {
    if ('close' in message) closing = true;
    else if ('cancel' in message) {
      const place = waiting.findIndex(({ id }) => id === message.cancel);
      if (place >= 0) waiting.splice(place, 1);
    } else waiting.push(message);
    void work();
  });
  say({ ready: service.info() });
} catch (error) {
  say({ failed: carried(error) });
  port.close();
}
