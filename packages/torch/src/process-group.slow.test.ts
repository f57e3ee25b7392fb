import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { freePort } from '@conquer-dml/testing/free-port';
import { startRanks } from '@conquer-dml/testing/ranks';
import { describe, expect, it } from 'vitest';
import { native } from './binding.js';
import { Generator, ProcessGroup, randn, scope, tensor, type Waiting } from './index.js';

interface Rank {
  /** What its body returned, or the error's message. */
  says: unknown;
  /** Milliseconds that the body took. */
  took: number;
}

/** Runs a function body in so many processes, each with its `group`. @returns what they say by rank; null of one that was killed */
async function inRanks(size: number, body: string): Promise<(Rank | null)[]> {
  const source = (rank: number, port: number) => `
    import * as torch from ${JSON.stringify(new URL('../dist/index.js', import.meta.url))};
    const { ProcessGroup, tensor, randn, zeros, Generator } = torch;
    const place = { host: '127.0.0.1', port: ${port}, rank: ${rank}, size: ${size}, timeout: 60, silence: 3 };
    const group = ProcessGroup.join(place);
    const start = performance.now();
    let says;
    try {
      says = (() => { ${body} })();
      group.leave();
    } catch (error) {
      says = error.name + ': ' + error.message;
    }
    process.stdout.write(JSON.stringify({ says, took: performance.now() - start }));
  `;
  return await startRanks(size, {
    argsOf: (rank, port) => ['--input-type=module', '-e', source(rank, port)],
  });
}

const said = (ranks: (Rank | null)[]) => ranks.map((rank) => rank?.says);

describe('a group of processes', () => {
  it.each([1, 2, 3, 5])('of %i has sums of the same bits, of float32 as in one order', async (size) => {
    const body = `
      const sums = [0, 1, 7, 1000].map((count) => {
        const x = randn([count], { generator: new Generator(group.rank) });
        group.allReduce(x);
        return x.tolist();
      });
      const doubles = tensor([0.1 * group.rank, 1e300], { dtype: 'float64' });
      group.allReduce(doubles);
      const whole = tensor([2 ** 31 + group.rank], { dtype: 'int64' });
      group.allReduce(whole);
      const spread = zeros([2, 3]).add(group.rank).t();
      group.allReduce(spread);
      return [sums, doubles.tolist(), Number(whole.toTypedArray()[0]), spread.tolist()];`;
    const [first, ...others] = said(await inRanks(size, body)) as [
      number[][],
      number[],
      number,
      number[][],
    ][];
    for (const other of others) expect(other).toEqual(first);
    const of = (count: number) =>
      scope(() => {
        const each = Array.from({ length: size }, (_, rank) =>
          randn([count], { generator: new Generator(rank), dtype: 'float32' }).to('float64'),
        );
        return [...each.reduce((sum, x) => sum.add(x)).toNumbers()];
      });
    for (const [i, count] of [0, 1, 7, 1000].entries()) {
      const sums = (first as unknown as number[][][])[0]![i]!;
      expect(sums).toHaveLength(count);
      for (const [at, value] of of(count).entries()) expect(Math.abs(sums[at]! - value)).toBeLessThan(1e-5);
    }
    const ranks = (size * (size - 1)) / 2;
    expect(first![1][0]).toBeCloseTo(0.1 * ranks, 12);
    expect(first![2]).toBe(size * 2 ** 31 + ranks);
    expect(first![3]).toEqual([
      [ranks, ranks],
      [ranks, ranks],
      [ranks, ranks],
    ]);
  });

  it('gathers rows of any number, and hands on what rank 0 has', async () => {
    const body = `
      const rows = group.allGather(tensor(Array.from({ length: group.rank }, (_, i) => [group.rank, i]), { shape: [group.rank, 2] }));
      const large = zeros([300_000]).add(group.rank === 0 ? 3 : 4);
      group.broadcast(large);
      group.barrier();
      return [
        rows.tolist(), [...group.gatherNumbers(Int32Array.of(group.rank))], large.sum().item(),
        group.broadcastObject(() => ({ from: group.rank, text: 'ä' })), group.any(group.rank === 2), group.any(false),
      ];`;
    const ranks = said(await inRanks(4, body));
    const rows = [
      [1, 0],
      [2, 0],
      [2, 1],
      [3, 0],
      [3, 1],
      [3, 2],
    ];
    expect(ranks).toEqual(Array(4).fill([rows, [0, 1, 2, 3], 900_000, { from: 0, text: 'ä' }, true, false]));
  });

  it('has a NaN of any rank at all', async () => {
    const body =
      'const x = tensor([group.rank === 1 ? NaN : 1, 1]); group.allReduce(x); return String(x.tolist());';
    expect(said(await inRanks(3, body))).toEqual(Array(3).fill('NaN,3'));
  });

  it.each([
    [
      'shapes',
      'group.allReduce(zeros([2, group.rank === 1 ? 3 : 2]))',
      'rank 0 allReduce of float32 (2, 2), rank 1 allReduce of float32 (2, 3)',
    ],
    [
      'dtypes',
      "group.broadcast(zeros([4], { dtype: group.rank ? 'float64' : 'float32' }))",
      'rank 0 broadcast of float32 (4), rank 1 broadcast of float64 (4)',
    ],
    [
      'widths',
      'group.allGather(zeros([group.rank, group.rank === 2 ? 5 : 4]))',
      'rank 0 allGather of float32 (*, 4), rank 2 allGather of float32 (*, 5)',
    ],
    [
      'calls',
      'group.rank === 2 ? group.barrier() : group.any(true)',
      'rank 0 allReduce of int32 (1), rank 2 barrier',
    ],
  ])('says on all ranks which %s differ', async (_, body, words) => {
    const message = `ProcessGroupError: the processes do not do the same: ${words}`;
    expect(said(await inRanks(3, body))).toEqual([message, message, message]);
  });

  it.each([
    ['ends', "process.kill(process.pid, 'SIGKILL')", 'was lost: its process ended'],
    [
      'leaves for a reason',
      "group.leave('no such file: a.jpg'); throw new Error('gone')",
      'ended: no such file: a.jpg',
    ],
    [
      'is silent',
      "require('node:fs').writeSync(1, 'stopped'); process.kill(process.pid, 'SIGSTOP')",
      'was lost: nothing was heard of it for 3 s',
    ],
  ])('names the rank that %s', async (_, how, words) => {
    const start = "const require = process.getBuiltinModule('node:module').createRequire('/');";
    for (const lost of [0, 2]) {
      const ranks = await inRanks(4, `${start} if (group.rank === ${lost}) { ${how} } group.barrier();`);
      for (const [rank, result] of ranks.entries()) {
        if (rank === lost) continue;
        expect(result!.says).toBe(`ProcessGroupError: rank ${lost} of 4 ${words}`);
        expect(result!.took).toBeLessThan(30_000);
      }
    }
  });

  const network = `
    const { nn, F } = torch;
    const learning = (seed, ...shape) => randn(shape, { generator: new Generator(seed), dtype: 'float64' }).requiresGrad_();
    // Several buckets, of which the last parameters' are first; the third has its gradient on rank 1 alone, the fourth nowhere.
    const parameters = [learning(1, 5, 700), learning(2, 900, 700), learning(3, 700), learning(4, 3), learning(5, 900, 900), learning(6, 4)];
    const [a, b, c, , d, e] = parameters;
    const x = randn([3 + group.rank, 5], { generator: new Generator(10 + group.rank), dtype: 'float64' });
    const total = () => {
      const wide = x.matmul(a);
      const hidden = (group.rank === 1 ? wide.mul(c) : wide).matmul(b.t()).tanh().matmul(d);
      return hidden.square().sum().add(e.sum());
    };
    const gradients = () => parameters.map(({ grad }) => grad === null ? null : [grad.abs().sum().item(), grad.shape, grad.stride?.()]);`;

  it.each([2, 3])('of %i sums gradients while others are computed, as afterwards', async (size) => {
    const body = `${network}
      group.sumGradients(parameters, () => total().backward());
      const overlapped = parameters.map(({ grad }) => grad?.detach().clone() ?? null);
      for (const each of parameters) each.grad = null;
      total().backward();
      const own = parameters.map(({ grad }) => grad !== null);
      const after = parameters.map((each) => {
        const sum = each.grad ?? torch.zerosLike(each.detach());
        group.allReduce(sum);
        return sum;
      });
      const apart = overlapped.map((sum, i) => sum === null ? null : sum.sub(after[i]).abs().max().item() / (after[i].abs().max().item()));
      return [own, apart, overlapped.map((sum) => sum === null ? null : [...sum.reshape([-1]).narrow(0, 0, 3).toNumbers()])];`;
    const ranks = said(await inRanks(size, body)) as [boolean[], (number | null)[], unknown][];
    for (const [rank, [own, apart, sums]] of ranks.entries()) {
      expect(own).toEqual([true, true, rank === 1, false, true, true]);
      expect(apart[3]).toBe(null);
      for (const [i, value] of apart.entries()) if (i !== 3) expect(value).toBeLessThan(1e-13);
      expect(sums).toEqual(ranks[0]![2]);
    }
  });

  it('says on all ranks whose parameters are others, and takes no second pass', async () => {
    const others = `${network}
      if (group.rank === 1) parameters.reverse();
      group.sumGradients(parameters, () => total().backward());`;
    for (const words of said(await inRanks(2, others)))
      expect(words).toMatch(
        /^ProcessGroupError: the processes do not do the same: rank 0 sumGradients of 6 parameters \(\d+\), rank 1 sum/,
      );
    const twice = `${network}
      group.sumGradients(parameters, () => { total().backward(); total().backward(); });`;
    // Who comes to it first ends, which the other may hear of before.
    const own = /^TorchError: .*expected one backward pass, got a second gradient of a parameter/;
    const words = said(await inRanks(2, twice)) as string[];
    expect(words.some((some) => own.test(some))).toBe(true);
    for (const some of words)
      if (!own.test(some)) expect(some).toMatch(/^ProcessGroupError: rank \d of 2 (was lost|ended)/);
  });

  it.each([
    [
      'is lost in the middle of a pass',
      "process.kill(process.pid, 'SIGKILL')",
      'was lost: its process ended',
    ],
    ['fails in the middle of one', "group.leave('no memory'); throw new Error('gone')", 'ended: no memory'],
  ])('names the rank that %s', async (_, how, words) => {
    const body = `${network}
      group.sumGradients(parameters, () => { if (group.rank === 1) { ${how} } total().backward(); });`;
    const ranks = await inRanks(3, body);
    for (const rank of [0, 2]) {
      expect(ranks[rank]!.says).toBe(`ProcessGroupError: rank 1 of 3 ${words}`);
      expect(ranks[rank]!.took).toBeLessThan(30_000);
    }
  });

  it('refuses two of one rank, and one that does not come in time', async () => {
    const port = await freePort();
    const place = { host: '127.0.0.1', port, rank: 0, size: 2, timeout: 0.3 };
    expect(() => ProcessGroup.join(place)).toThrow(
      `rank 0 of 2 did not meet the others at 127.0.0.1:${port}: 1 of 2 processes came in time`,
    );
    expect(() => ProcessGroup.join({ ...place, rank: 1 })).toThrow(
      /nobody answers at 127\.0\.0\.1:\d+: Connection refused/,
    );
    expect(() => ProcessGroup.join({ ...place, rank: 2 })).toThrow(/rank: expected from 0 to 1, got 2/);
  });

  it('tells of whom it waits, until that throws', async () => {
    const port = await freePort();
    const place = { host: '127.0.0.1', port, size: 4, timeout: 60 };
    for (const [rank, whom] of [
      [0, 'ranks 1, 2, 3 of 4'],
      [2, 'rank 0 of 4'],
    ] as const) {
      const told: Waiting[] = [];
      const join = () =>
        ProcessGroup.join({ ...place, rank }, (waiting) => {
          told.push(waiting);
          if (told.length === 3) throw new RangeError('enough');
        });
      expect(join).toThrow(new RangeError('enough'));
      expect(told.map((waiting) => [waiting.whom, waiting.timeout])).toEqual(Array(3).fill([whom, 60]));
      expect(told[2]!.seconds).toBeGreaterThan(told[0]!.seconds);
      expect(told[2]!.seconds).toBeLessThan(10);
    }
    const few: Promise<unknown>[] = [];
    const source = (
      rank: number,
    ) => `import { ProcessGroup } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url))};
      const told = new Set();
      let since = 0;
      try {
        ProcessGroup.join({ host: '127.0.0.1', port: ${port}, rank: ${rank}, size: 3, timeout: 60 }, ({ whom }) => {
          told.add(whom);
          if (told.has(${rank === 0 ? "'rank 2 of 3'" : "'others that rank 0 waits for'"}) && ++since > ${rank === 0 ? 8 : 1e9}) throw new Error('enough');
        });
      } catch (error) {
        process.stdout.write(JSON.stringify([[...told].at(-1), error.message]));
      }`;
    for (const rank of [0, 1]) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', source(rank)]);
      few.push(child.stdout.toArray().then((chunks) => JSON.parse(Buffer.concat(chunks).toString())));
    }
    const [first, second] = (await Promise.all(few)) as [string[], string[]];
    expect(first).toEqual(['rank 2 of 3', 'enough']);
    // One that is there hears at once that rank 0 is gone.
    expect(second[0]).toBe('others that rank 0 waits for');
    expect(second[1]).toMatch(/^rank 1 of 3 did not meet the others at .*: the connection was closed$/);
  });

  it('is heard of on this machine alone where its address is that', async () => {
    const port = await freePort();
    const join = `import { ProcessGroup } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url))};
      ProcessGroup.join({ host: '127.0.0.1', port: ${port}, rank: 0, size: 2, timeout: 60 });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', join]);
    try {
      const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
      // 0A: listens.
      const listening = () =>
        ['tcp', 'tcp6']
          .filter((kind) => existsSync(`/proc/net/${kind}`))
          .flatMap((kind) => readFileSync(`/proc/net/${kind}`, 'utf8').split('\n'))
          .map((line) => line.trim().split(/\s+/))
          .filter(([, local, , state]) => local?.endsWith(end) && state === '0A')
          .map(([, local]) => local);
      await expect.poll(listening).toEqual([`0100007F${end}`]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('of one process exchanges nothing', () => {
    const group = ProcessGroup.alone();
    using x = tensor([[1, 2]]);
    group.allReduce(x);
    using all = group.allGather(x);
    expect([x.tolist(), all.tolist()]).toEqual([[[1, 2]], [[1, 2]]]);
    expect(group.broadcastObject(() => 5)).toBe(5);
    expect(group.share(7)).toEqual({ from: 0, count: 7, total: 7 });
  });
});

it('gradients are summed only of parameters whose numbers have memory, as much as the sums are going to need', () => {
  const group = native.joinProcessGroup('127.0.0.1', 0, 0, 1, 1, 1, () => false);
  const wide = tensor([1])
    .expand([2 ** 24, 2 ** 24])
    .requiresGrad_();
  expect(() => native.beginGradientSums(group, [wide.handle])).toThrow(
    'got one of 281474976710656 numbers in memory of 1',
  );
  native.leaveProcessGroup(group, '');
});
