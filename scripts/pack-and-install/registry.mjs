// A registry on loopback, for as long as a test takes: what is published to it is there alone, all else comes from the usual one.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Skipped } from './tools.mjs';

const OWN = ['conquer-dml', '@conquer-dml/*'];
/** A package of others, by which it is seen whether they can be had. */
const FOREIGN = 'zod';

const configuration = (folder, uplink) => `
storage: ${join(folder, 'storage')}
auth: { htpasswd: { file: ${join(folder, 'htpasswd')} } }
uplinks: { usual: { url: ${JSON.stringify(uplink)}, timeout: 60s, max_fails: 10 } }
packages:
${OWN.map((name) => `  '${name}': { access: $all, publish: $all, unpublish: $all }\n`).join('')}  '**': { access: $all, proxy: usual }
max_body_size: 1gb
web: { enable: false }
log: { type: stdout, format: pretty, level: warn }
`;

/**
 * @param {import('./tools.mjs').Tools} tools
 * @param {string} folder that it may fill
 * @throws Skipped where the usual registry cannot be reached
 * @returns {Promise<{ url: string, publish(tarball: string): Promise<void>, close(): Promise<void> }>}
 */
export async function startRegistry(tools, folder) {
  const { stdout } = await promisify(execFile)('npm', ['config', 'get', 'registry']);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/`;
  const config = join(folder, 'verdaccio.yaml');
  const log = join(folder, 'log');
  writeFileSync(config, configuration(folder, stdout.trim()));
  const server = spawn(tools.node, [tools.verdaccio, '--config', config, '--listen', url], {
    stdio: ['ignore', openSync(log, 'w'), openSync(log, 'a')],
  });
  const npmrc = join(folder, 'npmrc');
  writeFileSync(npmrc, `registry=${url}\n${url.slice('http:'.length)}:_authToken=anyone\n`);
  const close = async () => {
    server.kill();
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  };
  try {
    await answers(`${url}-/ping`, server);
    const { ok } = await fetch(`${url}${FOREIGN}`);
    if (!ok) throw new Skipped(`packages of others cannot be had from ${stdout.trim()} (no network?)`);
  } catch (error) {
    await close();
    if (error instanceof Skipped) throw error;
    throw new Error(`${error.message}\n${readFileSync(log, 'utf8')}`);
  }
  return {
    url,
    publish: async (tarball) => {
      const args = [tools.npm, 'publish', tarball, '--access', 'public', '--userconfig', npmrc];
      await promisify(execFile)(tools.node, args, { cwd: folder, maxBuffer: 1 << 26 });
    },
    close,
  };
}

async function answers(url, server) {
  for (let tries = 0; tries < 300; tries++) {
    if (server.exitCode !== null) throw new Error(`the registry ended (exit code ${server.exitCode})`);
    const response = await fetch(url).catch(() => null);
    if (response?.ok) return;
    await pause(100);
  }
  throw new Error('the registry did not answer within 30 s');
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
