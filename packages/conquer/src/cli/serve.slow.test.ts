import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RunFolder } from '@conquer-dml/run';
import { Mutations } from '@conquer-dml/testing/mutations';
import { discSvg, writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer, program } from '@conquer-dml/testing/program';
import { pypiPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawnExperiment, saveDrawn } from '../testing/saved-run.js';

let folder: string;
let service: ChildProcess;
let url: string;
let printed = '';

beforeAll(async () => {
  folder = temporaryFolder();
  writeDiscs(folder, 2);
  const experiment = drawnExperiment();
  saveDrawn(RunFolder.create(join(folder, 'run'), experiment).bestCheckpoint, experiment, 1);
  const made = await conquer(['index', 'run', 'images', '--out', 'photos.index'], { folder });
  expect(made).toMatchObject({ code: 0 });
  service = spawn(process.execPath, [program, 'serve', 'photos.index', '--port', '0'], { cwd: folder });
  for (const stream of [service.stdout!, service.stderr!])
    stream.on('data', (chunk) => {
      printed += chunk;
    });
  while (!/http:\S+/.test(printed)) await once(service.stdout!, 'data');
  url = /http:\S+/.exec(printed)![0];
}, 120_000);

afterAll(() => service.kill('SIGKILL'));

const search = (body: Uint8Array) =>
  fetch(new URL('search?top=1', url), {
    method: 'POST',
    body: body as Uint8Array<ArrayBuffer>,
    headers: { 'Content-Type': 'image/svg+xml' },
  });

describe('conquer serve', () => {
  it('answers each of 1,000 broken requests with a status and a line, and the next one as before', async () => {
    const damage = new Mutations(7);
    const { default: sharp } = await import('sharp');
    const svg = Buffer.from(discSvg({ x: 16, y: 16, r: 9, fill: 'red' }));
    const images = [
      svg,
      ...(await Promise.all(
        [sharp(svg).jpeg(), sharp(svg).png(), sharp(svg).webp()].map((each) => each.toBuffer()),
      )),
    ];
    const types = [
      'image/jpeg',
      'application/octet-stream',
      'multipart/form-data; boundary=b',
      'text/plain',
      'image/',
    ];
    const form = Buffer.concat([
      Buffer.from('--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'),
      images[1]!,
      Buffer.from('\r\n--b--\r\n'),
    ]);
    const statuses = new Map<number, number>();
    for (let at = 0; at < 1000; at++) {
      const route = damage.pick([
        'embed',
        'search',
        'verify',
        'items',
        'search?top=3&explain=true',
        'search?top=-1',
      ]);
      const body = damage.damage(damage.int(2) ? form : damage.pick(images), images);
      const response = await fetch(new URL(route, url), {
        method: 'POST',
        body: body as Uint8Array<ArrayBuffer>,
        headers: { 'Content-Type': damage.pick(types) },
      });
      const answer = (await response.json()) as { error?: string };
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status !== 200) expect(answer.error).toMatch(/^[^\n]+$/);
    }
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
    expect(statuses.get(422) ?? 0).toBeGreaterThan(50);
    const found = await search(readFileSync(join(folder, 'images/class-03/1.svg')));
    expect(await found.json()).toMatchObject({ matches: [[{ id: 'class-03/1.svg' }]] });
    expect(printed).not.toMatch(/bug/);
  }, 300_000);

  it('is as its OpenAPI document says: schemathesis finds nothing', async () => {
    // What bytes are an image no schema can say, nor which ids there are: a request may be as described and refused.
    writeFileSync(
      join(folder, 'schemathesis.toml'),
      '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", 400, 404, 409, 422]\n' +
        // Too many images are told by 413, which is none of its own list.
        '[checks.negative_data_rejection]\nexpected-statuses = [400, 404, 405, 413, 415, 422]\n',
    );
    const python = promisify(execFile);
    const args = ['run', new URL('openapi.json', url).href, '--max-examples', '15', '--seed', '1'];
    args.push('--suppress-health-check', 'filter_too_much');
    const ran = await python(join(pypiPython, '../schemathesis'), args, {
      cwd: folder,
      maxBuffer: 2 ** 26,
    }).catch((error: { stdout: string }) => error);
    // Without the requests themselves, which are long.
    const said = ran.stdout
      .split('\n')
      .filter((line) => line.length < 200)
      .join('\n');
    expect(said).not.toMatch(/FAILURES|ERRORS/);
    expect(said).toMatch(/(\d+) generated, \1 passed/);
  }, 600_000);

  it('takes nothing more at SIGTERM, answers what is under way, and ends in order', async () => {
    const image = readFileSync(join(folder, 'images/class-03/1.svg'));
    const asked = Array.from({ length: 8 }, () => search(image));
    await asked[0];
    service.kill('SIGTERM');
    const ended = once(service, 'exit');
    for (const response of await Promise.allSettled(asked))
      if (response.status === 'fulfilled') expect(response.value.status).toBe(200);
    expect(await ended).toEqual([0, null]);
  }, 60_000);

  it('refuses what it cannot serve in a line', async () => {
    const cases: [string[], RegExp][] = [
      [['serve', 'nowhere'], /nowhere/],
      [
        ['serve', 'photos.index', '--port', '70000'],
        /--port: expected a whole number of at least 0 and at most 65535/,
      ],
      [
        ['serve', 'photos.index', '--max-pixels', '1e6'],
        /--max-pixels: expected a whole number of at least 1, got '1e6'/,
      ],
      [['serve', 'run', '--folder', 'images'], /run is no index: --folder belongs to one/],
      [['serve', 'photos.index', '--token', 'abc'], /expected a token of at least 16/],
    ];
    mkdirSync(join(folder, 'empty'));
    for (const [args, message] of cases) {
      const { code, stderr } = await conquer(args, { folder });
      expect([args, code]).toEqual([args, 2]);
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    }
  }, 120_000);
});
