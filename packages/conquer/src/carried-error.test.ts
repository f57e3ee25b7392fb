import { Worker } from 'node:worker_threads';
import { ImageError } from '@conquer-dml/image';
import { isSystemError, UserError } from '@conquer-dml/run';
import { OutOfMemoryError, SerializationError, TorchError } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { arrived, type CarriedError, carried } from './carried-error.js';
import { isMistake } from './cli/failure.js';
import { Interrupted } from './interrupted.js';
import { OptionError } from './option-error.js';
import { isOutOfMemory } from './out-of-memory.js';

/** From one thread to another and back: what arrives there is what arrives here. */
async function sent(error: unknown): Promise<Error> {
  const there = new Worker(
    "const { parentPort } = require('worker_threads'); parentPort.once('message', (m) => parentPort.postMessage(m))",
    { eval: true },
  );
  try {
    there.postMessage(carried(error));
    const back = await new Promise<CarriedError>((done, failed) => {
      there.once('message', done);
      there.once('error', failed);
    });
    return arrived(back);
  } finally {
    await there.terminate();
  }
}

const system = Object.assign(new Error('ENOSPC: no space left on device, write'), {
  code: 'ENOSPC',
  errno: -28,
  syscall: 'write',
  path: '/full/file',
});

describe('an error that comes from another thread', () => {
  it.each<[new (...args: never[]) => Error, Error]>([
    [UserError, new UserError('expected a, got b')],
    [OptionError, new OptionError('loss.margin', 'expected a number, got x')],
    [ImageError, new ImageError('/a/b.jpg', 'it is cut off')],
    [SerializationError, new SerializationError('a.pth: no weights')],
    [TorchError, new TorchError('mm: shapes')],
    [OutOfMemoryError, new OutOfMemoryError("can't allocate memory: 8 GB")],
    [Interrupted, new Interrupted('stopped')],
    [RangeError, new RangeError('out of range')],
    [TypeError, new TypeError('no function')],
    [Error, new Error('a bug')],
    [Error, system],
  ])('%o is what it was: %o', async (Class, error) => {
    const here = await sent(error);
    expect(here).toBeInstanceOf(Class);
    expect([here.message, here.stack, here.name]).toEqual([error.message, error.stack, error.name]);
    expect(Object.fromEntries(Object.entries(here).filter(([name]) => name !== 'name'))).toEqual(
      Object.fromEntries(Object.entries(error).filter(([name]) => name !== 'name')),
    );
    // So the command ends as it would have ended without a thread.
    expect(await isMistake(here)).toBe(await isMistake(error));
    expect(isOutOfMemory(here)).toBe(isOutOfMemory(error));
    expect(isSystemError(here)).toBe(isSystemError(error));
  });

  it('has its path, and its causes', async () => {
    const cause = new TorchError("can't allocate memory", { cause: system });
    const here = await sent(new UserError('the batch needs more than there is', { cause }));
    expect(here.cause).toBeInstanceOf(TorchError);
    expect(isOutOfMemory(here.cause)).toBe(isOutOfMemory(cause));
    expect((here.cause as Error).cause).toMatchObject({ code: 'ENOSPC', syscall: 'write' });
    const option = await sent(new OptionError('optimize.learningRate', 'expected more', 'the optimiser'));
    expect(option).toMatchObject({ path: 'optimize.learningRate', problem: 'expected more' });
    expect(option.message).toBe('the optimiser: optimize.learningRate: expected more');
  });

  it('that is no error is one', async () => {
    expect(await sent('just text')).toMatchObject({ message: 'just text' });
    expect(await sent(undefined)).toBeInstanceOf(Error);
  });
});
