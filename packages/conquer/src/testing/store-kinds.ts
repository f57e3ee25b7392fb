import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { type StoreServer, startPglite, startPostgres } from './store-servers.js';

/** Where indexes of a kind go: each name another one. */
export type Place = (name: string) => string;

const local = (kind: string) => async () => {
  const folder = temporaryFolder();
  return { place: (name: string) => `${kind}:${join(folder, name)}`, stop: async () => {} };
};
const server = (start: () => Promise<StoreServer>) => async () => {
  const { url, stop } = await start();
  return { place: (name: string) => `pgvector:${url}#${name}`, stop };
};

/** Every store, each of its real package or server. */
export const STORE_KINDS: readonly {
  kind: string;
  start: () => Promise<{ place: Place; stop(): Promise<void> }>;
}[] = [
  { kind: 'usearch', start: local('usearch') },
  { kind: 'lancedb', start: local('lancedb') },
  { kind: 'sqlite-vec', start: local('sqlite') },
  { kind: 'pgvector in PGlite', start: server(startPglite) },
  { kind: 'pgvector in PostgreSQL', start: server(startPostgres) },
];
