import { expect, it } from 'vitest';
import { fuzz } from './fuzz.js';

it('names the seed and a small input where one does not end cleanly, the same each time', async () => {
  const seeds = [Buffer.from('abcdefgh')];
  const run = (seed: number) =>
    fuzz({
      inputs: 2000,
      seed,
      next: (mutations) => mutations.damage(seeds[0]!, seeds),
      read: (bytes) => {
        if (bytes.length < 8) throw new RangeError('short');
        if (bytes.length > 9) throw new TypeError('long');
      },
      isClean: (error) => error instanceof RangeError,
    }).then(
      () => expect.fail('the long inputs were not found'),
      (error: Error) => error.message,
    );
  const message = await run(5);
  expect(message).toMatch(/seed: 5/);
  const [, input] = /clean error: (\S+)/.exec(message)!;
  expect(Buffer.from(input!, 'base64').length).toBeGreaterThan(9);
  expect(await run(5)).toContain(input!);
});

it('names an input that takes more memory than ten times its size', async () => {
  const held: Uint8Array[] = [];
  const greedy = fuzz({
    inputs: 10,
    seed: 1,
    next: () => Uint8Array.of(1, 2, 3),
    read: () => held.push(new Uint8Array(8 << 20)),
    isClean: () => false,
  });
  await expect(greedy).rejects.toThrow(/an input of 3 bytes took \d+ of memory: AQID/);
});
