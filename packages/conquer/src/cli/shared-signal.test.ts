import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Interrupted } from '../interrupted.js';
import { abortShared, sharedSignal } from './shared-signal.js';

let channel: MessageChannel;
let stop: SharedArrayBuffer;
beforeEach(() => {
  channel = new MessageChannel();
  stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
});
afterEach(() => channel.port1.close());

it('is seen by a synchronous loop, which hears no message', () => {
  const signal = sharedSignal(stop, channel.port1);
  expect(signal.aborted).toBe(false);
  abortShared(stop, channel.port2);
  // Nothing was awaited.
  expect(signal.aborted).toBe(true);
});

it('is heard of by what waits, with a reason that ends the command as an interruption', async () => {
  const signal = sharedSignal(stop, channel.port1);
  const heard = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
  abortShared(stop, channel.port2);
  await heard;
  expect(signal.reason).toBeInstanceOf(Interrupted);
  expect(() => signal.throwIfAborted()).toThrow(Interrupted);
});
