import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
import { openAnyIndex } from '../retrieve/any-index.js';
import { knownItems } from '../retrieve/index-items.js';
import { StoreIndex } from '../retrieve/store-index.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';

// `conquer index`, killed with SIGKILL while it embeds.

/** More than two portions. */
const IMAGES = 16 * 140;
let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  drawnRun(join(folder, 'run'), drawnExperiment());
  writeDiscs(join(folder, 'few'), 3);
  writeDiscs(join(folder, 'many'), 140);
});

interface Counts {
  images: number;
  embedded: number;
  kept: number;
}

const index = (where: readonly string[], images: string, onStart?: (child: ChildProcess) => void) =>
  conquer(['index', 'run', images, ...where, '--json'], { folder, ...(onStart && { onStart }) });

async function counts(where: readonly string[], images: string): Promise<Counts> {
  const { code, stdout, stderr } = await index(where, images);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Counts;
}

/** Sends the process a signal as soon as rows are kept in a folder. */
const killWhenKept =
  (partial: string, signal: 'SIGKILL' | 'SIGINT' = 'SIGKILL') =>
  (child: ChildProcess) => {
    const watch = setInterval(() => {
      const files = existsSync(partial) ? readdirSync(partial, { recursive: true, encoding: 'utf8' }) : [];
      if (files.some((name) => name.endsWith('.safetensors'))) {
        clearInterval(watch);
        child.kill(signal);
      }
    }, 2);
    child.once('exit', () => clearInterval(watch));
  };

/** All ids and rows. */
async function contentOf(text: string): Promise<Map<string, Float32Array>> {
  const index = await openAnyIndex(text);
  const found = new Map<string, Float32Array>();
  for (const { id } of (await knownItems(index))!.items()) {
    using rows = (await index.rows(id))!;
    found.set(id, rows.toTypedArray() as Float32Array);
  }
  if (index instanceof StoreIndex) await index[Symbol.asyncDispose]();
  else index.dispose();
  return found;
}

it.each([
  { what: 'an index of its own', option: '--out', prefix: '', partial: 'photos.partial' },
  { what: 'a store', option: '--store', prefix: 'sqlite:', partial: 'cache/partial' },
])('killed while it embeds into $what, leaves what was there whole, and goes on', async (given) => {
  const { option, prefix, partial } = given;
  const images = `images of ${given.what}`;
  const where = [option, `${prefix}photos`];
  const content = () => contentOf(`${prefix}${join(folder, 'photos')}`);
  cpSync(join(folder, 'few'), join(folder, images), { recursive: true });
  expect(await counts(where, images)).toMatchObject({ images: 48, embedded: 48, kept: 0 });
  const before = await content();

  cpSync(join(folder, 'many'), join(folder, images), { recursive: true });
  const killed = await index(where, images, killWhenKept(join(folder, partial)));
  expect(killed.signal).toBe('SIGKILL');
  expect(await content()).toEqual(before);

  const { kept, ...rest } = await counts(where, images);
  expect(rest.images).toBe(IMAGES);
  expect(kept).toBeGreaterThanOrEqual(1024);
  expect(kept).toBeLessThan(IMAGES);
  expect(existsSync(join(folder, partial)) ? readdirSync(join(folder, partial)) : []).toEqual([]);
  const resumed = await content();
  expect((await counts(where, images)).embedded).toBe(0);

  rmSync(join(folder, 'photos'), { recursive: true });
  expect((await counts(where, images)).kept).toBe(0);
  expect(resumed).toEqual(await content());
  rmSync(join(folder, 'photos'), { recursive: true });
});

it.each([
  ['index', ['index', 'run', 'many', '--out', 'stopped']],
  ['embed', ['embed', 'many', '--model', 'run', '--out', 'stopped.parquet']],
])('%s stopped by Ctrl-C says how to go on, leaves nothing else, and goes on', async (_, command) => {
  const partial = join(folder, `${command.at(-1)}.partial`);
  const stopped = await conquer(command, { folder, onStart: killWhenKept(partial, 'SIGINT') });
  expect(stopped.code, stopped.stderr).toBe(130);
  expect(stopped.stderr.trim().split('\n').at(-1)).toBe('stopped; the same command goes on where it was');
  expect(existsSync(join(folder, command.at(-1)!))).toBe(false);
  const { code, stdout, stderr } = await conquer([...command, '--json'], { folder });
  expect(code, stderr).toBe(0);
  const { images, kept } = JSON.parse(stdout) as Counts;
  expect(images).toBe(IMAGES);
  expect(kept).toBeGreaterThanOrEqual(1024);
  expect(kept).toBeLessThan(IMAGES);
});

it('makes a store anew whose file was removed while somebody had it open', async () => {
  const where = ['--store', 'sqlite:removed'];
  await counts(where, 'few');
  await using open = await StoreIndex.open(`sqlite:${join(folder, 'removed')}`, { write: true });
  const ids = [...(await open.known()).items()].map(({ id }) => id);
  for (const id of ids) await open.remove([id]);
  rmSync(join(folder, 'removed'));
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(['removed-wal', 'removed-shm']));
  expect(await counts(where, 'few')).toMatchObject({ items: 48, kept: 0 });
  expect((await contentOf(`sqlite:${join(folder, 'removed')}`)).size).toBe(48);
});

it('leaves what is somebody else’s in the folder of kept rows, and goes on without rows that are damaged', async () => {
  const where = ['--out', 'beside'];
  const partial = join(folder, 'beside.partial');
  const killed = await index(where, 'many', killWhenKept(partial));
  expect(killed.signal).toBe('SIGKILL');
  const [kept] = readdirSync(partial).filter((name) => name.endsWith('.safetensors'));
  writeFileSync(join(partial, kept!), readFileSync(join(partial, kept!)).subarray(0, 2000));
  writeFileSync(join(partial, 'thesis.txt'), 'precious');
  const { code, stdout, stderr } = await index(where, 'many');
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/warning: rows of an interrupted call are made again: .*cut short/);
  expect((JSON.parse(stdout) as Counts).images).toBe(IMAGES);
  expect(readdirSync(partial)).toEqual(['thesis.txt']);

  rmSync(partial, { recursive: true });
  rmSync(join(folder, 'beside'), { recursive: true });
  writeFileSync(partial, 'precious');
  const refused = await index(where, 'few');
  expect(refused.code).toBe(2);
  expect(refused.stderr.trim().split('\n').at(-1)).toMatch(
    /^conquer: .*beside\.partial: expected a folder, in which rows are kept until all are there, got a file: move it away$/,
  );
  expect(readFileSync(partial, 'utf8')).toBe('precious');
});
