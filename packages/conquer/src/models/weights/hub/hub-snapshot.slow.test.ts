import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '@conquer-dml/run';
import { HubServer } from '@conquer-dml/testing/hub-server';
import { describeWithPyPI, pypiPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hubSettings } from './hub-settings.js';
import { type FetchModelOptions, fetchModel } from './hub-snapshot.js';

const NAME = 'timm/tiny.of_a_test';
const config = '{"architecture": "tiny"}';
const weights = Buffer.from(Uint32Array.from({ length: 300_000 }, (_, i) => Math.imul(i, 0x9e3779b1)).buffer);

let hub: HubServer;
let home = '';
let env: Record<string, string>;
let notes: string[] = [];

beforeEach(async () => {
  hub = await HubServer.start();
  hub.repositories.set(NAME, {
    files: { 'config.json': config, 'model.safetensors': weights, 'README.md': '#' },
    license: 'apache-2.0',
  });
  home = temporaryFolder();
  env = { HF_ENDPOINT: hub.endpoint, HF_HOME: home };
  notes = [];
});
afterEach(() => hub.close());

const get = (name = NAME, options: FetchModelOptions = {}) =>
  fetchModel(name, { settings: hubSettings(env), onNote: (text) => void notes.push(text), ...options });
const asked = () => hub.requests.map(({ what }) => what);
const repositoryFolder = () => join(home, 'hub', 'models--timm--tiny.of_a_test');

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  const { message } = error as Error;
  expect(message).not.toMatch(/\n|hf_secret/);
  return message;
}

describe('a model of the hub', () => {
  it("is kept as Python's huggingface_hub keeps it, and fetched once", async () => {
    const { folder, commit } = await get();
    expect(commit).toBe(hub.commitOf(NAME));
    expect(folder).toBe(join(repositoryFolder(), 'snapshots', commit));
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    expect(readFileSync(join(folder, 'config.json'), 'utf8')).toBe(config);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
    expect(readlinkSync(join(folder, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readlinkSync(join(folder, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    expect(readFileSync(join(repositoryFolder(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect(readdirSync(join(repositoryFolder(), 'blobs'))).toHaveLength(2);
    expect(notes).toEqual([`${NAME}: licence apache-2.0, not gated`]);
    hub.requests.length = 0;
    notes.length = 0;
    expect(await get()).toEqual({ folder, repository: NAME, commit });
    expect(asked()).toEqual([`GET hub /api/models/${NAME}/revision/main?blobs=true`]);
    expect(notes).toEqual([]);
  });

  it('tells the licence before the first byte of it is fetched', async () => {
    let askedThen: string[] = [];
    await get(NAME, {
      onNote: () => {
        askedThen = asked();
      },
    });
    expect(askedThen.filter((what) => what.startsWith('GET') && !what.includes('/api/'))).toEqual([]);
    expect(asked().filter((what) => what.startsWith('GET'))).toHaveLength(4);
  });

  it('is not asked for again where the commit is named', async () => {
    const { commit } = await get();
    hub.requests.length = 0;
    await get(`${NAME}@${commit}`);
    expect(asked()).toEqual([]);
  });

  it('becomes another commit when it changes', async () => {
    const before = await get();
    hub.repositories.set(NAME, { files: { 'config.json': '{}', 'model.safetensors': weights } });
    const after = await get();
    expect(after.commit).not.toBe(before.commit);
    expect(readFileSync(join(after.folder, 'config.json'), 'utf8')).toBe('{}');
    expect(readFileSync(join(before.folder, 'config.json'), 'utf8')).toBe(config);
    expect(asked().filter((what) => what.startsWith('GET store'))).toHaveLength(1);
    expect(notes.at(-1)).toBe(`${NAME}: no licence is stated, not gated`);
  });

  it('may be in parts', async () => {
    const [first, second] = [weights.subarray(0, 4000), weights.subarray(4000, 9000)];
    const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } });
    hub.repositories.set(NAME, {
      files: {
        'config.json': config,
        'model.safetensors.index.json': index,
        'model-1.safetensors': first,
        'model-2.safetensors': second,
        'model-3.safetensors': first,
      },
    });
    const { folder } = await get();
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'model-1.safetensors',
      'model-2.safetensors',
      'model.safetensors.index.json',
    ]);
    expect(readFileSync(join(folder, 'model-2.safetensors')).equals(second)).toBe(true);
    rmSync(join(folder, 'model-2.safetensors'));
    const offline = hubSettings({ ...env, HF_HUB_OFFLINE: '1' });
    expect(await messageOf(get(NAME, { settings: offline }))).toContain('is not in');
  });

  it('needs no hub when it is there and HF_HUB_OFFLINE is set, or the hub is down', async () => {
    const first = await get();
    hub.requests.length = 0;
    for (const value of ['1', 'on', 'True', 'YES'])
      expect(await get(NAME, { settings: hubSettings({ ...env, HF_HUB_OFFLINE: value }) })).toEqual(first);
    expect(asked()).toEqual([]);
    await hub.close();
    expect(await get()).toEqual(first);
    expect(notes.at(-1)).toMatch(/cannot be reached: .+; took what is in/);
    expect(await messageOf(get('timm/other'))).toMatch(/cannot be reached/);
  });

  it('is refused with what to do: offline, gated, unknown, of another revision, without weights', async () => {
    hub.repositories.set('meta/gated', {
      files: { 'config.json': '{}', 'model.safetensors': weights },
      license: 'other',
      gatedBy: 'hf_secret',
    });
    hub.repositories.set('some/flax', { files: { 'config.json': '{}', 'flax_model.msgpack': weights } });
    hub.repositories.set('some/many', { files: { 'a.pth': '1', 'b.pth': '2' } });
    const offline = hubSettings({ ...env, HF_HUB_OFFLINE: '1' });
    expect(await messageOf(get(NAME, { settings: offline }))).toMatch(
      /is not in .*hub, and HF_HUB_OFFLINE forbids/,
    );
    const gated = await messageOf(get('meta/gated'));
    expect(gated).toMatch(
      /^meta\/gated is gated: accept its licence at http.*meta\/gated, then set HF_TOKEN/,
    );
    env.HF_TOKEN = 'hf_secret_of_another';
    expect(await messageOf(get('meta/gated'))).toMatch(/with the account that HF_TOKEN is of/);
    delete env.HF_TOKEN;
    expect(await messageOf(get('nobody/nothing'))).toMatch(/there is no such model at .* \(or it is private/);
    expect(await messageOf(get(`${NAME}@v9`))).toMatch(/has no revision 'v9'/);
    expect(await messageOf(get('some/flax'))).toMatch(
      /expected weights in model.safetensors or pytorch_model.bin/,
    );
    expect(await messageOf(get('some/many'))).toMatch(/name one of a.pth, b.pth/);
    expect(await messageOf(get('../../etc/passwd'))).toMatch(/expected the name of a repository/);
    expect(await messageOf(get(`${NAME}@../../x`))).toMatch(/expected a branch, a tag or a commit/);
    expect(existsSync(join(home, 'hub'))).toBe(false);
  });

  it('is given with the token, from the environment or the file of a login, which no other host sees', async () => {
    hub.repositories.set('meta/gated', {
      files: { 'config.json': '{}', 'model.safetensors': weights },
      gatedBy: 'hf_secret',
    });
    writeFileSync(join(home, 'token'), 'hf_secret\n');
    await get('meta/gated');
    expect(notes).toEqual([
      'meta/gated: no licence is stated, gated: its terms were to be accepted on its page',
    ]);
    const tokens = (host: string) =>
      new Set(
        hub.requests
          .filter(({ what }) => what.includes(` ${host} `))
          .map(({ authorization }) => authorization),
      );
    expect(tokens('hub')).toEqual(new Set(['Bearer hf_secret']));
    expect(tokens('store')).toEqual(new Set([undefined]));
    expect(hubSettings({ ...env, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }).token).toBeNull();
    expect(hubSettings({ ...env, HF_TOKEN: 'hf_of_environment' }).token).toBe('hf_of_environment');
    const wrong = await messageOf((async () => hubSettings({ ...env, HF_TOKEN: 'hf_secret ü' }))());
    expect(wrong).toMatch(/^HF_TOKEN: expected a token/);
    const password = await messageOf(
      (async () => hubSettings({ HF_ENDPOINT: 'https://me:hf_secret@hub' }))(),
    );
    expect(password).toMatch(/^HF_ENDPOINT: expected an address without a password/);
  });

  it('goes on where a download broke off, and is refused where it is another file', async () => {
    hub.hangUpAfter = 500_000;
    await get();
    const ranges = hub.requests.filter(({ what }) => what.startsWith('GET store')).map(({ range }) => range);
    expect(ranges.length).toBeGreaterThan(2);
    expect(ranges[0]).toBeUndefined();
    expect(ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
    hub.hangUpAfter = null;
    hub.instead = Buffer.from(weights).fill(1, 7000, 7001);
    rmSync(home, { recursive: true });
    mkdirSync(home);
    expect(await messageOf(get())).toMatch(
      /its SHA-256 sum starts with .* was expected; try again, or fetch timm/,
    );
    expect(existsSync(join(repositoryFolder(), 'snapshots', hub.commitOf(NAME), 'model.safetensors'))).toBe(
      false,
    );
    hub.instead = null;
    await get();
  });

  it('is fetched once by two processes at once', async () => {
    const script = `
      import { fetchModel } from ${JSON.stringify(new URL('../../../../dist/models/weights/hub/hub-snapshot.js', import.meta.url).href)};
      console.log((await fetchModel('${NAME}')).folder);`;
    const folders = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          env: { ...process.env, ...env },
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let printed = '';
        child.stdout.on('data', (chunk) => (printed += chunk));
        const [code] = await once(child, 'close');
        expect(code).toBe(0);
        return printed.trim();
      }),
    );
    expect(new Set(folders).size).toBe(1);
    expect(readFileSync(join(folders[0]!, 'model.safetensors')).equals(weights)).toBe(true);
    expect(asked().filter((what) => what.startsWith('GET store'))).toHaveLength(1);
    expect(
      readdirSync(join(repositoryFolder(), 'blobs')).filter((name) => name.includes('incomplete')),
    ).toEqual([]);
  });
});

/** In the peer's own process, as the hub answers from this one. */
async function inPython(script: string, more: Record<string, string> = {}): Promise<unknown> {
  const { stdout } = await promisify(execFile)(pypiPython, ['-c', script, NAME], {
    env: { ...process.env, ...env, ...more },
  });
  return JSON.parse(stdout);
}

const DOWNLOAD = `
import json, os, sys
from huggingface_hub import hf_hub_download, scan_cache_dir
files = [hf_hub_download(sys.argv[1], file) for file in ['config.json', 'model.safetensors']]
cache = scan_cache_dir()
repository, = cache.repos
revision, = repository.revisions
print(json.dumps({'folder': os.path.dirname(files[1]), 'refs': sorted(revision.refs), 'bytes': repository.size_on_disk,
                  'files': sorted(f.file_name for f in revision.files), 'warnings': [str(w) for w in cache.warnings]}))
`;

describeWithPyPI("the cache of Python's huggingface_hub", ['huggingface_hub'], () => {
  const expected = (folder: string) => ({
    folder,
    refs: ['main'],
    bytes: weights.length + config.length,
    files: ['config.json', 'model.safetensors'],
    warnings: [],
  });

  it('written here is read there, without asking for a byte', async () => {
    const { folder } = await get();
    expect(await inPython(DOWNLOAD, { HF_HUB_OFFLINE: '1' })).toEqual(expected(folder));
    hub.requests.length = 0;
    expect(await inPython(DOWNLOAD)).toEqual(expected(folder));
    expect(asked().filter((what) => what.startsWith('GET') && what.includes(NAME))).toEqual([]);
  });

  it('written there is read here, without asking for a byte', async () => {
    const { folder } = (await inPython(DOWNLOAD)) as { folder: string };
    hub.requests.length = 0;
    expect((await get()).folder).toBe(folder);
    expect(asked()).toEqual([`GET hub /api/models/${NAME}/revision/main?blobs=true`]);
    expect((await get(NAME, { settings: hubSettings({ ...env, HF_HUB_OFFLINE: '1' }) })).folder).toBe(folder);
  });
});
