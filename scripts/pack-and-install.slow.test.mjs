import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeEmojiPhotos } from '../packages/conquer/src/testing/emoji-photos.js';
import { SetupError } from '../packages/native/builder/setup-error.mjs';
import { pack } from './pack.mjs';
import { bareRoot, emptyFolder } from './pack-and-install/machines.mjs';
import { startRegistry } from './pack-and-install/registry.mjs';
import { Skipped, userTools } from './pack-and-install/tools.mjs';
import { platformFolder } from './packing/platform.mjs';

// The packages as a user gets them: packed, published to a registry on loopback, installed by name with npm 12 on Node 22, and
// used where there is no compiler, no checkout and no libtorch of the system's.

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PLATFORM = '@conquer-dml/linux-x64';

let folder;
let tools;
let registry;
/** Why nothing of this can be tested here. */
let skipped;

const newFolder = () => mkdtempSync(join(folder, 'part-'));

/** The reason, or undefined; other errors are errors. */
async function reasonOf(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    console.log(`SKIPPED: ${error.message}`);
    return error.message;
  }
}

/** What libtorch is missing for is a reason to skip; any other error is one. */
async function packed() {
  try {
    return await pack({ into: newFolder(), say: () => {} });
  } catch (error) {
    throw error instanceof SetupError ? new Skipped(error.message) : error;
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-install-'));
  skipped = await reasonOf(async () => {
    tools = await userTools();
    if (platformFolder(ROOT) === undefined) throw new Skipped(`no ${PLATFORM} is made on this machine`);
    const tarballs = await packed();
    registry = await startRegistry(tools, newFolder());
    for (const tarball of tarballs) await registry.publish(tarball);
  });
  if (!skipped) await writeEmojiPhotos(join(folder, 'photos'), 24);
}, 1_800_000);

afterAll(async () => {
  await registry?.close();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** The program of README's first screen, and its name there. */
function programOfReadme() {
  const [, name, code] = readFileSync(join(ROOT, 'README.md'), 'utf8').match(
    /```js\n\/\/ (\S+\.mjs)\n([\s\S]*?)```/,
  );
  return { name, code };
}

const machines = [
  ['an empty folder without a compiler on the PATH', emptyFolder],
  ['a bare root with nothing but a shell and Node', bareRoot],
];

describe.each(machines)('installed by name into %s', (_, make) => {
  let user;
  let reason;

  beforeAll(async () => {
    reason =
      skipped ??
      (await reasonOf(async () => {
        user = await make(tools, newFolder(), registry.url);
        cpSync(join(folder, 'photos'), join(user.home, 'photos'), { recursive: true });
      }));
  }, 120_000);

  /** What it prints. Each step stands on those before. */
  const run = async (command) => {
    const { code, stdout, stderr } = await user.run(command);
    if (code !== 0) throw new Error(`${command}: exit code ${code}\n${stdout}\n${stderr}`);
    return stdout;
  };
  const step = (title, work) =>
    it(title, async (context) => {
      if (reason) context.skip(reason);
      await work();
    });

  step('npm brings the libraries of this platform, and runs no script', async () => {
    await run('npm install conquer-dml');
    const { packages } = JSON.parse(readFileSync(join(user.home, 'package-lock.json'), 'utf8'));
    expect(Object.keys(packages)).toContain(`node_modules/${PLATFORM}`);
    expect(Object.keys(packages).filter((path) => packages[path].hasInstallScript)).toEqual([]);
    // Icons and tests stay away.
    expect(
      Object.keys(packages).filter((path) => /@iconify|@conquer-dml\/(emoji|testing)/.test(path)),
    ).toEqual([]);
  });

  step('conquer doctor finds the library that came along', async () => {
    const found = await run('npx conquer doctor');
    expect(found).toContain(`node_modules/${PLATFORM}`);
  });

  step('the demo asks for its icons by name, in one line', async () => {
    const { code, stderr } = await user.run('npx conquer demo');
    expect(code).toBe(2);
    expect(stderr.split('\n').filter((line) => line.includes('npm install @conquer-dml/emoji'))).toHaveLength(
      1,
    );
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  step("README's program trains, indexes and searches", async () => {
    const { name, code } = programOfReadme();
    writeFileSync(join(user.home, name), code);
    const image = firstImage(join(user.home, 'photos'));
    cpSync(join(user.home, 'photos', image), join(user.home, 'photo.png'));
    const printed = await run(`node ${name}`);
    expect(printed).toContain(image);
  });

  step('conquer trains in a thread of its own, evaluates, indexes, searches, lists and reports', async () => {
    const sizes = '--arch small-resnet --image-size 32 --batch-size 40 --embedding-dim 64 --num-learners 2';
    await run(`npx conquer train --dataset folder --dataset-dir photos ${sizes} --epochs 2 --name small`);
    const { metrics } = JSON.parse(await run('npx conquer eval runs/small --json'));
    const { best } = JSON.parse(readFileSync(join(user.home, 'runs/small/summary.json'), 'utf8'));
    expect(metrics['R@1']).toBeCloseTo(best.metrics['R@1'], 6);
    await run('npx conquer index runs/small photos --out photos.index');
    const image = firstImage(join(user.home, 'photos'));
    const found = await run(`npx conquer search photos.index photos/${image}`);
    expect(found).toContain(image);
    expect(await run('npx conquer runs')).toContain('small');
    await run('npx conquer report runs/small');
    const report = readFileSync(join(user.home, 'runs/small/report.html'), 'utf8');
    expect(report.match(/data:image\/webp;base64,/g)?.length).toBeGreaterThan(10);
  });

  step('the dashboard answers', async () => {
    const dashboard = user.start('npx conquer dashboard --port 0');
    try {
      const url = await printedUrl(dashboard);
      const page = await fetch(url);
      expect(page.status).toBe(200);
      expect(await page.text()).toMatch(/<script/);
      const runs = await (await fetch(new URL('api/runs', url))).json();
      expect(JSON.stringify(runs)).toContain('small');
    } finally {
      end(dashboard);
    }
  });

  step('train() works in a worker thread', async () => {
    writeFileSync(join(user.home, 'in-a-thread.mjs'), trainingInAThread);
    const { epochs, onMainThread } = JSON.parse(await run('node in-a-thread.mjs'));
    expect(epochs).toBe(2);
    expect(onMainThread).toBe(false);
    expect(existsSync(join(user.home, 'runs/in-a-thread/checkpoints/last.safetensors'))).toBe(true);
  });

  step('TypeScript finds its types, and CommonJS what it requires', async () => {
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const wanted = ['typescript', '@types/node'].map((name) => `${name}@${devDependencies[name]}`);
    await run(`npm install --save-dev '${wanted.join("' '")}'`);
    const examples = join(user.home, 'examples');
    mkdirSync(examples);
    for (const name of readdirSync(join(ROOT, 'examples')))
      if (/\.(ts|json)$/.test(name) && !name.includes('.test.'))
        cpSync(join(ROOT, 'examples', name), join(examples, name));
    await run('npx tsc -p examples');
    await run('npx tsc -p examples --noEmit --skipLibCheck false');
    const kinds = `const { train, UserError } = require('conquer-dml'); console.log(typeof train, typeof UserError)`;
    writeFileSync(join(user.home, 'required.cjs'), kinds);
    expect(await run('node required.cjs')).toBe('function function\n');
  });

  step('the example of a server answers from its thread', async () => {
    const server = user.start('exec node examples/dist/search-server.js runs/small photos photos.index 0');
    try {
      const image = firstImage(join(user.home, 'photos'));
      const body = readFileSync(join(user.home, 'photos', image));
      const url = new URL('search?top=1', await printedUrl(server));
      const response = await fetch(url, { method: 'POST', body, headers: { 'Content-Type': 'image/png' } });
      expect(response.status).toBe(200);
      const { matches } = await response.json();
      expect(matches[0][0].id).toBe(image);
    } finally {
      end(server);
    }
  });
});

/** In its class's folder. */
function firstImage(photos) {
  const [name] = readdirSync(photos).sort();
  return `${name}/${readdirSync(join(photos, name)).sort()[0]}`;
}

const trainingInAThread = `
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { train } from 'conquer-dml';

if (isMainThread) {
  new Worker(new URL(import.meta.url)).on('message', (said) => console.log(JSON.stringify(said)));
} else {
  let epochs = 0;
  await train(
    {
      data: { dataset: { name: 'folder', folder: 'photos' }, imageSize: 32, batchSize: 40 },
      model: { backbone: { name: 'small-resnet' }, embeddingDim: 64 },
      divide: { numLearners: 2 },
      train: { epochs: 2 },
    },
    { run: 'runs/in-a-thread', observer: { onEpochStart: () => { epochs++; } } },
  );
  parentPort.postMessage({ epochs, onMainThread: isMainThread });
}
`;

function printedUrl(child) {
  return new Promise((found, failed) => {
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        text += chunk;
        const [url] = text.match(/http:\/\/\S+(?=\s)/) ?? [];
        if (url) found(url);
      });
    child.on('close', (code) => failed(new Error(`exit code ${code} before it told its address:\n${text}`)));
  });
}

/** With all that it started. */
function end(child) {
  try {
    process.kill(-child.pid);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
