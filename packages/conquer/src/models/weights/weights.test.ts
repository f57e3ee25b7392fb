import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  Generator,
  liveTensors,
  scope,
  type Tensor,
  writePth,
  writeSafetensors,
  zeros,
} from '@conquer-dml/torch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SmallResNet } from '../backbones/small-resnet.js';
import { createModel } from '../create-model.js';
import { fetchWeights, type PublishedWeights } from './published-weights.js';
import { imageNetWeights, loadWeights } from './weights.js';

let folder = '';
let server: Server;
let baseUrl = '';
/** What the server does with a request, and the `Range` headers that came. */
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let ranges: (string | undefined)[] = [];

const body = Buffer.from(Uint32Array.from({ length: 300_000 }, (_, i) => Math.imul(i, 0x9e3779b1)).buffer);
const sum = createHash('sha256').update(body).digest('hex');
const published: PublishedWeights = {
  file: `net-${sum.slice(0, 8)}.pth`,
  mebibytes: Number((body.length / 2 ** 20).toFixed(3)),
};

/** Serves `body` as a file server does: a part of it where a range is asked for. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const start = Number(range?.[1] ?? 0);
  if (start >= body.length) {
    response.writeHead(416).end();
    return;
  }
  response.writeHead(range ? 206 : 200, {
    'content-length': body.length - start,
    ...(range && { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` }),
  });
  response.end(body.subarray(start));
}

/** Announces the whole, sends the first bytes of what is asked for, and hangs up. */
function hangUpAfter(bytes: number): typeof serve {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': body.length - start,
      ...(start > 0 && { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` }),
    });
    response.write(body.subarray(start, start + bytes), () => setTimeout(() => response.destroy(), 20));
  };
}

beforeEach(async () => {
  folder = temporaryFolder();
  ranges = [];
  answer = serve;
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    if (request.url === `/models/${published.file}`) answer(request, response);
    else response.writeHead(404, 'Not Found').end('no such file');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/`;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

const get = (weights = published) => fetchWeights(weights, { baseUrl, folder: join(folder, 'weights') });
const file = () => join(folder, 'weights', published.file);

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  const { message } = error as Error;
  expect(message).not.toContain('\n');
  return message;
}

describe('fetchWeights', () => {
  it('fetches once, with progress', async () => {
    const progress: { done: number; total: number }[] = [];
    const onProgress = (at: { done: number; total: number }) => progress.push(at);
    const path = await fetchWeights(published, { baseUrl, folder: join(folder, 'weights'), onProgress });
    expect(path).toBe(file());
    expect(readFileSync(path).equals(body)).toBe(true);
    expect(existsSync(`${path}.part`)).toBe(false);
    expect(progress.length).toBeGreaterThan(1);
    expect(progress.at(-1)).toEqual({ done: body.length, total: body.length });
    expect(progress.map(({ done }) => done)).toEqual(progress.map(({ done }) => done).sort((a, b) => a - b));
    await get();
    expect(ranges).toEqual([undefined]);
  });

  it('goes on by itself where the connection broke off', async () => {
    let requests = 0;
    answer = (...exchange) => (requests++ < 2 ? hangUpAfter(400_000) : serve)(...exchange);
    await get();
    expect(readFileSync(file()).equals(body)).toBe(true);
    expect(ranges[0]).toBe(undefined);
    // Where exactly depends on how much had arrived when the connection broke.
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
    expect(starts).toHaveLength(2);
    const [first = 0, second = 0] = starts;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThanOrEqual(400_000);
    expect(second).toBeGreaterThan(first);
    expect(second).toBeLessThanOrEqual(first + 400_000);
  });

  it('goes on in the next call where it was interrupted', async () => {
    let requests = 0;
    answer = (request, response) => {
      if (requests++ === 0) hangUpAfter(500_000)(request, response);
      else response.destroy();
    };
    const message = await messageOf(get());
    expect(message).toContain(`${baseUrl}${published.file} cannot be fetched`);
    expect(existsSync(file())).toBe(false);
    // How much depends on what had arrived when the connection broke.
    const { size } = statSync(`${file()}.part`);
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(500_000);
    answer = serve;
    await get();
    expect(ranges.at(-1)).toBe(`bytes=${size}-`);
    expect(readFileSync(file()).equals(body)).toBe(true);
  });

  it('starts over where the server knows no ranges, and takes a part that is whole', async () => {
    await get();
    writeFileSync(`${file()}.part`, body.subarray(0, 1000));
    rmSync(file());
    answer = (request, response) => {
      request.headers.range = undefined;
      serve(request, response);
    };
    await get();
    expect(readFileSync(file()).equals(body)).toBe(true);

    writeFileSync(`${file()}.part`, body);
    rmSync(file());
    answer = serve;
    await get();
    expect(ranges.at(-1)).toBe(`bytes=${body.length}-`);
    expect(readFileSync(file()).equals(body)).toBe(true);
  });

  it('throws a part away that is too long, and fetches anew', async () => {
    await get();
    writeFileSync(`${file()}.part`, Buffer.concat([body, body]));
    rmSync(file());
    await get();
    expect(ranges.slice(1)).toEqual([`bytes=${2 * body.length}-`, undefined]);
    expect(readFileSync(file()).equals(body)).toBe(true);
  });

  it('survives two processes at once', async () => {
    answer = hangUpAfter(300_000);
    await Promise.all([get(), get(), get()].map((work) => work.catch(() => null)));
    answer = serve;
    await Promise.all([get(), get(), get()]);
    expect(readFileSync(file()).equals(body)).toBe(true);
  });

  it('refuses a wrong hash and keeps nothing of it', async () => {
    const changed = Buffer.from(body);
    changed[12_345] = (changed[12_345] as number) ^ 1;
    answer = (_, response) => response.writeHead(200, { 'content-length': changed.length }).end(changed);
    const message = await messageOf(get());
    expect(message).toContain(
      `its SHA-256 sum starts with ${sumOf(changed)}, ${sum.slice(0, 8)} was expected`,
    );
    expect(existsSync(file()) || existsSync(`${file()}.part`)).toBe(false);
    answer = serve;
    await get();
  });

  it('refuses a wrong size before it reads it, and after where none was announced', async () => {
    answer = (_, response) => response.writeHead(200, { 'content-length': 5 }).end('login');
    expect(await messageOf(get())).toMatch(/it has 0\.000 MiB there, 1\.144 were expected/);
    answer = (_, response) => {
      response.write('log');
      response.end('in');
    };
    expect(await messageOf(get())).toMatch(/it has 0\.000 MiB, 1\.144 were expected/);
    answer = (_, response) => {
      response.write(body);
      response.end(body);
    };
    expect(await messageOf(get())).toMatch(/larger than the 1\.144 MiB/);
    expect(existsSync(file())).toBe(false);
  });

  it('says which file to fetch and where to put it when there is none, or no server', async () => {
    const advice = (name: string) =>
      `try again, or fetch that file elsewhere and put it at ${join(folder, 'weights', name)}`;
    const resnet = imageNetWeights('resnet18');
    expect(await messageOf(get(resnet))).toBe(
      `${baseUrl}${resnet.file} cannot be fetched: the server answers 404 Not Found; ${advice(resnet.file)}`,
    );
    const dead = 'http://127.0.0.1:9';
    const message = await messageOf(
      fetchWeights(published, { baseUrl: dead, folder: join(folder, 'weights') }),
    );
    expect(message).toMatch(/^http:\/\/127\.0\.0\.1:9\/net-\w+\.pth cannot be fetched: /);
    expect(message).toContain(advice(published.file));
  });

  it('checks a file that was put there by hand', async () => {
    await get();
    writeFileSync(file(), body.subarray(0, 999));
    expect(await messageOf(get())).toMatch(/is not the published file: .*; delete it/);
    expect(ranges).toHaveLength(1);
  });

  it('takes the address of a mirror and the folder from the environment', async () => {
    const before = { ...process.env };
    process.env.CONQUER_WEIGHTS_URL = baseUrl;
    process.env.CONQUER_CACHE = join(folder, 'cache');
    try {
      expect(await fetchWeights(published)).toBe(join(folder, 'cache', 'weights', published.file));
    } finally {
      for (const name of ['CONQUER_WEIGHTS_URL', 'CONQUER_CACHE']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });
});

const sumOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex').slice(0, 8);

describe('imageNetWeights', () => {
  it("names torchvision's files", () => {
    for (const name of [
      'resnet18',
      'resnet34',
      'resnet50',
      'resnet101',
      'resnet152',
      'alexnet',
      'vgg11',
      'vgg11bn',
    ]) {
      const { file, mebibytes } = imageNetWeights(name);
      expect(file).toMatch(new RegExp(`^${name.replace('bn', '_bn')}(-owt)?-[0-9a-f]{8}\\.pth$`));
      expect(mebibytes).toBeGreaterThan(44);
    }
    expect(imageNetWeights('resnet50').file).toBe('resnet50-0676ba61.pth');
  });

  it('says what to do where torchvision has none', () => {
    expect(() => imageNetWeights('bn-inception')).toThrow(
      /bn-inception: fetch http.*bn_inception-52deb4733\.pth.* and give that file$/,
    );
    expect(() => imageNetWeights('small-resnet')).toThrow(
      /small-resnet: choose one of resnet18, .*; weights 'none' start without$/,
    );
  });
});

describe('loadWeights', () => {
  it('takes the backbone of a checkpoint of a run', () => {
    using source = createModel(
      { name: 'small-resnet', widths: [4, 8] },
      { embeddingDim: 3, generator: new Generator(1) },
    );
    const named = [...source.stateDict()].map(([name, value]) => [`model.${name}`, value] as const);
    const file = join(folder, 'last.safetensors');
    scope(() => {
      const tensors = new Map([...named, ['optimizer.backbone.0.exp_avg', zeros([2])] as const]);
      writeSafetensors(file, tensors, { format: 'conquer-checkpoint-1' });
    });
    const before = liveTensors();
    using target = new SmallResNet({ widths: [4, 8], generator: new Generator(2) });
    const own = liveTensors() - before;
    loadWeights(target, file);
    expect(target.conv1.weight.tolist()).toEqual(source.backbone.parameters()[0]?.tolist());
    expect(liveTensors() - before).toBe(own);
  });

  const small = (seed: number) => new SmallResNet({ widths: [4, 8], generator: new Generator(seed) });

  /** Writes the weights of a network, changed, loads them into another one, and returns the notes. */
  function roundTrip(
    change: (weights: Map<string, Tensor>) => Map<string, Tensor>,
    file = 'weights',
    write: (path: string, weights: Map<string, Tensor>) => void = writePth,
  ): string[] {
    using source = small(1);
    using target = small(2);
    const path = join(folder, file);
    scope(() =>
      write(path, change(new Map([...source.stateDict()].map(([name, value]) => [name, value.clone()])))),
    );
    const before = target.conv1.weight.toNumbers();
    const notes: string[] = [];
    try {
      loadWeights(target, path, { onNote: (text) => notes.push(text.replace(path, 'FILE')) });
    } catch (error) {
      expect(target.conv1.weight.toNumbers(), 'nothing may be loaded').toEqual(before);
      throw error;
    }
    for (const [name, value] of target.stateDict())
      expect(value.toNumbers(), name).toEqual(source.stateDict().get(name)?.toNumbers());
    return notes;
  }

  const renamed = (rename: (name: string) => string) => (weights: Map<string, Tensor>) =>
    new Map([...weights].map(([name, value]) => [rename(name), value]));
  const withMore =
    (...names: string[]) =>
    (weights: Map<string, Tensor>) =>
      new Map([...weights, ...names.map((name) => [name, zeros([2])] as const)]);

  it.each([
    ...[
      'module.',
      'backbone.',
      'model.',
      'encoder.',
      '_orig_mod.',
      'module.backbone.',
      '_orig_mod.module.model.',
    ],
    'trunk.',
  ])('takes %s off the names, and says so', (prefix) => {
    expect(roundTrip(renamed((name) => prefix + name))).toEqual([`FILE: took '${prefix}' off 36 names`]);
  });

  it('leaves out a classifier, and what lies outside of the prefix, and says so', () => {
    expect(roundTrip((weights) => weights)).toEqual([]);
    expect(roundTrip(withMore('fc.weight', 'fc.bias', 'head.weight', 'classifier.0.weight'))).toEqual([
      'FILE: left out fc.weight, fc.bias, head.weight and 1 more: no part of the network',
    ]);
    const wrapped = renamed((name) => `module.backbone.${name}`);
    expect(
      roundTrip((weights) =>
        withMore('module.head.weight', 'queue', 'module.backbone.fc.bias')(wrapped(weights)),
      ),
    ).toEqual([
      "FILE: took 'module.backbone.' off 36 names",
      'FILE: left out module.head.weight, queue, module.backbone.fc.bias: no part of the network',
    ]);
    const twice = (one: string, other: string) => (weights: Map<string, Tensor>) =>
      new Map(
        [...weights].flatMap(([name, value]) =>
          [one, other].map((prefix) => [prefix + name, value] as const),
        ),
      );
    expect(roundTrip(twice('model.', 'shadow.'))[0]).toBe("FILE: took 'model.' off 36 names");
    expect(() => roundTrip(twice('student.', 'shadow.'))).toThrow(
      /2 times, behind the names student\., shadow\.:/,
    );
  });

  it.each([
    'model.pth.tar',
    'model.pth.tar-60',
    'model.ckpt',
    'pytorch_model.bin',
    'model',
    'a.safetensors',
    'a.pt',
  ])('knows a file by its content: %s', (name) => {
    expect(roundTrip((weights) => weights, name)).toEqual([]);
    expect(roundTrip((weights) => weights, name, writeSafetensors)).toEqual([]);
  });

  it('names three of the tensors that do not fit, not all, and what to do', () => {
    const message =
      /^.*weights: the weights do not fit small-resnet: unexpected 5 \(a, b, c and 2 more\); take the network/;
    expect(() => roundTrip(withMore('a', 'b', 'c', 'd', 'e'))).toThrow(message);
    expect(() =>
      roundTrip((weights) => renamed((name) => `module.${name}`)(new Map([...weights].slice(8)))),
    ).toThrow(
      /do not fit small-resnet, 'module\.' taken off: missing 7 \(conv1\.weight, bn1\.weight, bn1\.bias and 4 more\);/,
    );
    expect(() => roundTrip(renamed((name) => name.replaceAll('.', '/')))).toThrow(
      /missing 30 \(.*unexpected 36 \(/,
    );
    using other = new SmallResNet({ widths: [4, 6] });
    scope(() => writePth(join(folder, 'wide.pth'), small(1).stateDict()));
    expect(() => loadWeights(other, join(folder, 'wide.pth'))).toThrow(
      /do not fit small-resnet: wrong shape \d+ \(.* and \d+ more\); take/,
    );
  });

  it.each<[string, string, (value: Tensor) => Tensor, string]>([
    ['NaN', 'conv1.weight', (value) => value.mul(Number.NaN), 'NaN in conv1.weight'],
    [
      'NaN in half precision',
      'conv1.weight',
      (value) => value.mul(Number.NaN).to('float16'),
      'NaN in conv1.weight',
    ],
    [
      'infinity',
      'bn1.running_mean',
      (value) => value.sub(Number.POSITIVE_INFINITY),
      'infinity in bn1.running_mean',
    ],
    [
      'float64 beyond float32',
      'bn1.weight',
      (value) => value.to('float64').mul(1e60),
      'numbers that float32 has no room for in bn1.weight',
    ],
    [
      'negative variances',
      'layer1.0.bn2.running_var',
      (value) => value.sub(2),
      'variances below 0 in layer1.0.bn2.running_var',
    ],
    ['integers', 'conv1.weight', (value) => value.mul(100).to('int8'), 'integers in conv1.weight'],
  ])('refuses %s by the name of the tensor', (_, name, spoil, message) => {
    for (const prefix of ['', 'module.']) {
      const spoiled = (weights: Map<string, Tensor>) =>
        new Map([...weights].map(([own, value]) => [prefix + own, own === name ? spoil(value) : value]));
      expect(() => roundTrip(spoiled)).toThrow(`the weights cannot be used: ${message}`);
      expect(() => roundTrip(spoiled, 'weights', writeSafetensors)).toThrow(UserError);
    }
  });

  it('reads .pth and .safetensors, and refuses others', () => {
    using source = new SmallResNet({ widths: [4, 8], generator: new Generator(1) });
    scope(() => {
      const weights = new Map([...source.stateDict(), ['fc.weight', zeros([2, 8])] as const]);
      writePth(join(folder, 'a.pth'), weights);
      writeSafetensors(join(folder, 'a.safetensors'), weights);
    });
    writeFileSync(join(folder, 'bad.pth'), 'nothing');
    for (const name of ['a.pth', 'a.safetensors']) {
      using target = new SmallResNet({ widths: [4, 8], generator: new Generator(2) });
      expect(target.conv1.weight.toNumbers()).not.toEqual(source.conv1.weight.toNumbers());
      loadWeights(target, join(folder, name));
      expect(target.conv1.weight.toNumbers()).toEqual(source.conv1.weight.toNumbers());
    }
    expect(() => loadWeights(source, join(folder, 'imagenett'))).toThrow(
      /expected 'published', 'imagenet', a file or a folder, but there is no file '.*imagenett'/,
    );
    expect(() => loadWeights(source, join(folder, 'bad.pth'))).toThrow(
      /weights cannot be read: .*bad\.pth: expected a file of torch\.save or/,
    );
    using other = new SmallResNet({ widths: [4, 6] });
    expect(() => loadWeights(other, join(folder, 'a.pth'))).toThrow(/do not fit small-resnet/);
  });
});
