import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { layOut, type MapLayout, type MapTask } from './map-layout.js';

export type MapMessage = { progress: number } | { layout: MapLayout };

try {
  // Of this thread: a training beside it goes first.
  setPriority(10);
} catch {
  // Then it competes.
}
const say = (message: MapMessage) => parentPort?.postMessage(message);
say({ layout: layOut(workerData as MapTask, (progress) => say({ progress })) });
