import { itemLine, itemOfLine, UserError } from '@conquer-dml/run';
import type { ClientBase, Pool } from 'pg';
import { storePackage } from './store-package.js';
import {
  inPieces,
  keyed,
  type NearOptions,
  type NearRow,
  rowsOfBatch,
  type StoreBatch,
  type StoreChange,
  type StoredItem,
  type StoreKind,
  type VectorStore,
} from './vector-store.js';

/** Items or rows of a statement. */
const PIECE = 512;
/** An index of pgvector takes vectors of at most so many numbers; longer ones are compared one by one. */
const MOST_INDEXED = 2000;
/** What pgvector allows as hnsw.ef_search. */
const MOST_CANDIDATES = 1000;

/** PostgreSQL with the extension pgvector, 0.8 or later: a schema, which the URL names behind a # (`conquer` when left out). */
export const pgvectorStore: StoreKind = {
  name: 'pgvector',
  place: 'URL',
  help: 'PostgreSQL with pgvector: postgres://USER@HOST/DATABASE#SCHEMA',
  own: () => ({
    check: "PostgreSQL's pg_amcheck checks its database",
    compact: 'VACUUM in PostgreSQL compacts it',
  }),
  async open(place) {
    const { url, schema, name } = addressOf(place);
    const { default: pg } = await storePackage('pgvector', 'npm install pg', () => import('pg'));
    // One connection: a search is one question, and PGlite has no second. The pool opens it again where it was lost.
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    pool.on('error', () => {});
    const store = new PgvectorStore(name, pool, `"${schema}"`);
    try {
      await store.requireVersion();
    } catch (error) {
      await pool.end();
      throw error;
    }
    return store;
  },
};

function addressOf(place: string) {
  let url: URL;
  try {
    url = new URL(place);
    if (!/^postgres(ql)?:$/.test(url.protocol)) throw new TypeError();
  } catch {
    throw new UserError(
      `pgvector:${place.replace(/:[^:@/]*@/, ':…@')}: expected the URL of a database, as postgres://user@localhost/photos`,
    );
  }
  const schema = decodeURIComponent(url.hash.slice(1)) || 'conquer';
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new UserError(
      `pgvector: expected the name of a schema behind the #, of small letters, digits and _, got ${JSON.stringify(schema)}`,
    );
  url.hash = '';
  const shown = new URL(url);
  shown.password = '';
  return { url: url.href, schema, name: `pgvector:${shown.href}#${schema}` };
}

/** A vector as it is sent, in letters: the driver reads no bytes, and as decimals they are twice as long. */
const NUMBERS = "encode(vector_send(embedding), 'base64') as embedding";

const SCHEMA = (schema: string, dim: number) => [
  'create extension if not exists vector',
  `create schema if not exists ${schema}`,
  `create table ${schema}.record (only_one boolean primary key default true check (only_one), record text not null)`,
  `create table ${schema}.items
    (first bigint primary key, images integer not null, id text not null, labels text[] not null, item text not null)`,
  // Of any length, which a b-tree does not take; that each is there once the lock of writers sees to.
  `create index on ${schema}.items using hash (id)`,
  `create index on ${schema}.items using gin (labels)`,
  `create table ${schema}.rows (key bigint primary key, item bigint not null, embedding vector(${dim}) not null)`,
  `create index on ${schema}.rows (item)`,
];

type Values = readonly (string | number | Buffer | readonly (string | number)[])[];

class PgvectorStore implements VectorStore {
  readonly path = null;
  readonly mostNumbers = 16_000;

  constructor(
    readonly name: string,
    private readonly pool: Pool,
    private readonly schema: string,
  ) {}

  /** @throws UserError where the extension is not there, or has no scans that go on until enough is found */
  async requireVersion(): Promise<void> {
    const [there] = await this.query(
      "select default_version, installed_version from pg_available_extensions where name = 'vector'",
    );
    const version = String(there?.installed_version ?? there?.default_version ?? '');
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (version === '')
      throw new UserError(
        `${this.name}: the extension vector is not there: install pgvector, 0.8 or later, on the server`,
      );
    if (major === 0 && minor < 8)
      throw new UserError(
        `${this.name}: expected pgvector 0.8 or later, it is ${version}: install a newer one, and ALTER EXTENSION vector UPDATE`,
      );
  }

  async record() {
    const [there] = await this.query('select to_regclass($1) as name', [`${this.schema}.record`]);
    if (there?.name == null) return null;
    const [row] = await this.query(`select record from ${this.schema}.record`);
    return (row?.record as string | undefined) ?? null;
  }

  async create(dim: number, record: string) {
    await this.transaction(async (client) => {
      for (const statement of SCHEMA(this.schema, dim)) await client.query(statement);
      await client.query(`insert into ${this.schema}.record (record) values ($1)`, [record]);
    });
  }

  async drop() {
    await this.transaction(async (client) => {
      for (const table of ['record', 'items', 'rows'])
        await client.query(`drop table if exists ${this.schema}.${table}`);
      // One that others use too stays.
      const { rows } = await client.query(
        'select 1 from pg_class where relnamespace = $1::regnamespace limit 1',
        [this.schema],
      );
      if (rows.length === 0) await client.query(`drop schema ${this.schema} restrict`);
    });
  }

  async keep(record: string) {
    await this.query(`update ${this.schema}.record set record = $1`, [record]);
  }

  async counts() {
    const [row] = await this.query(
      `select count(*) as items, coalesce(sum(images), 0) as rows from ${this.schema}.items`,
    );
    return { items: Number(row!.items), rows: Number(row!.rows) };
  }

  async itemsById(ids: readonly string[]) {
    return this.some('id = any($1::text[])', [ids]);
  }

  async itemsByKey(firsts: readonly number[]) {
    return this.some('first = any($1::bigint[])', [firsts]);
  }

  async *items() {
    for (let after = -1; ; ) {
      const page = await this.some(`first > $1 order by first limit ${PIECE}`, [after]);
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.first;
    }
  }

  private async some(where: string, values: Values): Promise<StoredItem[]> {
    const found = await this.query(`select first, item from ${this.schema}.items where ${where}`, values);
    return found.map((row) => ({ ...itemOfLine(row.item as string), first: Number(row.first) }));
  }

  async rows(keys: readonly number[]) {
    const found = new Map<number, Float32Array>();
    for (const piece of inPieces(keys, PIECE)) {
      const text = `select key, item, ${NUMBERS} from ${this.schema}.rows where key = any($1::bigint[])`;
      for (const { key, row } of await this.near(this.pool, text, [piece])) found.set(key, row);
    }
    return keys.map((key) => found.get(key)!);
  }

  async change({ remove, relabel, put }: StoreChange) {
    const { schema } = this;
    await this.transaction(async (client) => {
      // Writers one after the other; who reads is not kept waiting.
      await client.query(`lock table ${schema}.record in exclusive mode`);
      for (const ids of inPieces(remove, PIECE)) await this.remove(client, ids);
      for (const item of relabel)
        await client.query(`update ${schema}.items set labels = $2, item = $3 where id = $1`, [
          item.id,
          item.labels,
          itemLine(item),
        ]);
      const { rows } = await client.query(`select coalesce(max(key) + 1, 0) as next from ${schema}.rows`);
      let next = Number(rows[0].next);
      for (const batch of put) {
        await this.remove(
          client,
          batch.items.map(({ id }) => id),
        );
        await this.insert(client, batch, next);
        next += rowsOfBatch(batch);
      }
    });
  }

  private async remove(client: ClientBase, ids: readonly string[]): Promise<void> {
    await client.query(
      `with gone as (delete from ${this.schema}.items where id = any($1::text[]) returning first)
       delete from ${this.schema}.rows where item in (select first from gone)`,
      [ids],
    );
  }

  private async insert(client: ClientBase, batch: StoreBatch, next: number): Promise<void> {
    const dim = batch.rows.length / rowsOfBatch(batch);
    const all = [...keyed(batch, next, dim)];
    const rows = all.flatMap(({ item, first, rows }) =>
      item.images.map((_, image) => [
        first + image,
        first,
        vectorOf(rows.subarray(image * dim, (image + 1) * dim)),
      ]),
    );
    const items = all.map(({ item, first }) => [
      first,
      item.images.length,
      item.id,
      item.labels,
      itemLine(item),
    ]);
    for (const [table, lists] of [
      ['items', items],
      ['rows', rows],
    ] as const)
      for (const piece of inPieces<readonly unknown[]>(lists, PIECE)) {
        const places = piece.map((list, at) => `(${list.map((_, i) => `$${at * list.length + i + 1}`)})`);
        await client.query(`insert into ${this.schema}.${table} values ${places}`, piece.flat());
      }
  }

  async nearest(query: Float32Array, k: number, { label, width }: NearOptions): Promise<NearRow[]> {
    const { schema } = this;
    const only =
      label === null
        ? ''
        : `where item in (select first from ${schema}.items where labels @> array[$3::text])`;
    // The operator alone orders: of an expression of it no index is used, and a vector of zeros would come first.
    const text = `select key, item, ${NUMBERS} from ${schema}.rows ${only} order by embedding <=> $1 limit $2`;
    const values = [vectorOf(query), k, ...(label === null ? [] : [label])];
    const ask = (settings: readonly string[]) =>
      this.transaction(async (client) => {
        for (const setting of settings) await client.query(`set local ${setting}`);
        return this.near(client, text, values);
      });
    if (width !== null) {
      const found = await ask([
        `hnsw.ef_search = ${Math.min(MOST_CANDIDATES, Math.max(width, k))}`,
        // Left off, a filter, or more than ef_search neighbours, leave too few.
        'hnsw.iterative_scan = strict_order',
        'hnsw.max_scan_tuples = 2147483647',
      ]);
      // Where its memory was used up before there were enough, or there are no more.
      if (found.length === k) return found;
    }
    return ask(['enable_indexscan = off']);
  }

  private async near(
    client: Pick<ClientBase, 'query'> | Pool,
    text: string,
    values: Values,
  ): Promise<NearRow[]> {
    const { rows } = await this.told(() => client.query<Record<string, string>>(text, [...values]));
    return rows.map(({ key, item, embedding }) => ({
      key: Number(key),
      item: Number(item),
      row: numbersOf(embedding!),
    }));
  }

  async build() {
    const [first] = await this.query(`select vector_dims(embedding) as dim from ${this.schema}.rows limit 1`);
    if (first === undefined || Number(first.dim) > MOST_INDEXED) return false;
    await this.transaction(async (client) => {
      await client.query(`drop index if exists ${this.schema}.rows_embedding`);
      await client.query(
        `create index rows_embedding on ${this.schema}.rows using hnsw (embedding vector_cosine_ops)`,
      );
    });
    await this.query(`analyze ${this.schema}.rows`);
    await this.query(`analyze ${this.schema}.items`);
    return true;
  }

  async isBuilt() {
    const [row] = await this.query('select to_regclass($1) as name', [`${this.schema}.rows_embedding`]);
    return row?.name != null;
  }

  async close() {
    await this.pool.end();
  }

  private async query(text: string, values: Values = []): Promise<Record<string, unknown>[]> {
    const { rows } = await this.told(() => this.pool.query(text, [...values]));
    return rows as Record<string, unknown>[];
  }

  private async transaction<T>(work: (client: ClientBase) => Promise<T>): Promise<T> {
    const client = await this.told(() => this.pool.connect());
    let broken = false;
    try {
      await client.query('begin');
      const made = await work(client);
      await client.query('commit');
      return made;
    } catch (error) {
      await client.query('rollback').catch(() => {
        broken = true;
      });
      throw this.problem(error);
    } finally {
      client.release(broken);
    }
  }

  private async told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.problem(error);
    }
  }

  /** What the server, or the way to it, says: it is a person's to mend. */
  private problem(error: unknown): unknown {
    const isOurs = error instanceof UserError || error instanceof RangeError || error instanceof TypeError;
    if (isOurs || !(error instanceof Error)) return error;
    const { message, code } = error as NodeJS.ErrnoException;
    return new UserError(`${this.name}: ${message.split('\n')[0] || code}`);
  }
}

/** As pgvector sends and takes it: numbers of 16 bits, D and 0, and D of float32, the high bytes first. */
function vectorOf(row: Float32Array): Buffer {
  const bytes = Buffer.alloc(4 + 4 * row.length);
  bytes.writeInt16BE(row.length, 0);
  bytes.set(new Uint8Array(row.buffer, row.byteOffset, row.byteLength), 4);
  bytes.subarray(4).swap32();
  return bytes;
}

function numbersOf(letters: string): Float32Array {
  const numbers = new Uint8Array(Buffer.from(letters, 'base64').subarray(4));
  Buffer.from(numbers.buffer).swap32();
  return new Float32Array(numbers.buffer);
}
