// Machines of a user: where packages are installed and used, with a shell, Node and npm, and nothing else of this one.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Skipped, testCache } from './tools.mjs';

/**
 * A user's folder, empty at first, in which commands of a shell are run.
 * @typedef {object} Machine
 * @property {string} home the folder, as seen from here
 * @property {(command: string) => import('node:child_process').ChildProcess} start
 * @property {(command: string) => Promise<{ code: number, stdout: string, stderr: string }>} run to its end
 */

/** What is given to every command, and nothing besides. */
const environment = (registry, home, path, npmCache) => ({
  HOME: home,
  PATH: path,
  npm_config_registry: registry,
  npm_config_cache: npmCache,
  npm_config_update_notifier: 'false',
  // Threads without work leave the cores to the tests beside these.
  OMP_WAIT_POLICY: 'passive',
});

/** @returns {Machine} */
function machine(home, command) {
  const start = (line) => {
    const [program, args, options] = command(line);
    // A group of its own: what npx starts ends with it.
    return spawn(program, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  };
  return {
    home,
    start,
    run: async (line) => {
      const child = start(line);
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      const [code] = await once(child, 'close');
      return { code, stdout, stderr };
    },
  };
}

/** Programs that a PATH without a compiler leads to. */
const PROGRAMS = ['sh', 'bash', 'env', 'cat', 'ls', 'cp', 'rm', 'mkdir', 'uname', 'sed', 'grep', 'curl'];

/**
 * An empty folder of this machine: its libraries are there, its programs but for a shell and Node are not on the PATH.
 *
 * @param {import('./tools.mjs').Tools} tools
 * @param {string} folder that it may fill
 * @param {string} registry
 * @returns {Machine}
 */
export function emptyFolder(tools, folder, registry) {
  const [bin, home] = [join(folder, 'bin'), join(folder, 'home')];
  mkdirSync(bin);
  mkdirSync(home);
  for (const name of PROGRAMS) {
    const found = ['/bin', '/usr/bin'].map((place) => join(place, name)).find((path) => existsSync(path));
    if (found) symlinkSync(found, join(bin, name));
  }
  symlinkSync(tools.node, join(bin, 'node'));
  for (const name of ['npm', 'npx'])
    symlinkSync(join(tools.npmFolder, `bin/${name}-cli.js`), join(bin, name));
  const env = environment(registry, home, bin, join(testCache(), 'npm'));
  return machine(home, (line) => ['/bin/bash', ['-c', line], { cwd: home, env }]);
}

/** What a shell and Node need of Debian, and nothing else; libtorch finds no library here but its own and these. */
const DEBS = ['libc6', 'libstdc++6', 'libgcc-s1', 'bash', 'coreutils'].concat(
  // What bash and coreutils are linked with.
  ['libtinfo6', 'libacl1', 'libattr1', 'libgmp10', 'libselinux1', 'libpcre2-8-0'],
);

/**
 * The root of a machine that has only these packages of Debian, Node and npm, entered by chroot.
 *
 * @param {import('./tools.mjs').Tools} tools
 * @param {string} folder that it may fill
 * @param {string} registry
 * @returns {Promise<Machine>} @throws Skipped where it cannot be made or entered
 */
export async function bareRoot(tools, folder, registry) {
  if (process.getuid() !== 0) throw new Skipped('only root may chroot, and this user is another one');
  const root = join(folder, 'root');
  for (const name of ['proc', 'dev', 'tmp', 'etc', 'user', 'npm-cache'])
    mkdirSync(join(root, name), { recursive: true });
  const debs = await downloadedDebs();
  for (const name of readdirSync(debs)) await promisify(execFile)('dpkg-deb', ['-x', join(debs, name), root]);
  symlinkSync('bash', join(root, 'bin/sh'));
  cpSync(tools.node, join(root, 'usr/bin/node'));
  cpSync(tools.npmFolder, join(root, 'usr/lib/npm'), { recursive: true });
  for (const name of ['npm', 'npx'])
    symlinkSync(`../lib/npm/bin/${name}-cli.js`, join(root, 'usr/bin', name));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/user:/bin/bash\n');
  const env = environment(registry, '/user', '/usr/bin:/bin', '/npm-cache');
  // A namespace of its own: its mounts end with the command.
  const enter = (line) => {
    const mounts =
      'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --rbind "$2" "$1/npm-cache"';
    const inside = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const script = `${mounts} && cd "$1/user" && exec chroot "$1" /usr/bin/env -i "\${@:4}" /bin/bash -c "cd /user && $3"`;
    const cache = join(testCache(), 'npm');
    mkdirSync(cache, { recursive: true });
    return ['unshare', ['--mount', 'bash', '-c', script, 'bash', root, cache, line, ...inside], {}];
  };
  const entered = machine(join(root, 'user'), enter);
  const { code, stderr } = await entered.run('true');
  if (code !== 0) throw new Skipped(`chroot does not work here: ${stderr.trim()}`);
  return entered;
}

async function downloadedDebs() {
  const folder = join(testCache(), 'debs-of-a-bare-root');
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}-`);
  try {
    await promisify(execFile)('apt-get', ['download', '-q', ...DEBS], { cwd: unfinished });
    if (!existsSync(folder)) renameSync(unfinished, folder);
    return folder;
  } catch (error) {
    throw new Skipped(
      `Debian's packages of a bare root cannot be fetched: ${error.stderr?.trim() || error.message}`,
    );
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
