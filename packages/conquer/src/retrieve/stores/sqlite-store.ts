import { existsSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type IndexItem, itemLine, itemOfLine, UserError } from '@conquer-dml/run';
import type { DatabaseSync } from '@photostructure/sqlite';
import { storePackage } from './store-package.js';
import {
  keyed,
  type NearOptions,
  type NearRow,
  rowsOfBatch,
  type StoreChange,
  type StoredItem,
  type StoreKind,
  type VectorStore,
} from './vector-store.js';

type Database = InstanceType<typeof DatabaseSync>;

/** sqlite-vec refuses more neighbours by its own search. */
const MOST_NEIGHBOURS = 4096;
/** Items that are read at a time. */
const PAGE = 1024;
const INSTALL = 'npm install sqlite-vec @photostructure/sqlite';

/** A file of SQLite with the extension sqlite-vec. It compares all rows: there is no index that could miss any. */
export const sqliteStore: StoreKind = {
  name: 'sqlite',
  place: 'FILE',
  help: 'a file of SQLite, by sqlite-vec',
  own: (file) => ({
    check: `sqlite3 ${file} 'pragma integrity_check' checks it`,
    compact: `sqlite3 ${file} vacuum compacts it`,
  }),
  async open(place, mode) {
    const path = resolve(place);
    if (mode !== 'create' && !existsSync(path))
      throw new UserError(`${path}: expected a file of SQLite, there is none`);
    if (!existsSync(dirname(path)))
      throw new UserError(`${path} cannot be written: there is no folder ${dirname(path)}`);
    const DatabaseClass = await storePackage('sqlite', INSTALL, databaseClass);
    const { getLoadablePath } = await storePackage('sqlite', INSTALL, () => import('sqlite-vec'));
    const isNew = !existsSync(path);
    // Beside a file that was removed while somebody had it open; SQLite would read them as the new one's: "disk I/O error".
    if (isNew) for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    let db: Database | undefined;
    try {
      db = new DatabaseClass(path, { allowExtension: true, readOnly: mode === 'read' });
      db.enableLoadExtension(true);
      db.loadExtension(getLoadablePath());
      db.enableLoadExtension(false);
      db.exec('pragma busy_timeout = 10000');
      if (mode !== 'read') db.exec('pragma journal_mode = wal; pragma synchronous = full');
      db.prepare('select count(*) from sqlite_master').get();
    } catch (error) {
      db?.close();
      if (isNew) rmSync(path, { force: true });
      const { message } = error as Error;
      if (!/readonly|read-only|unable to open/.test(message))
        throw new UserError(`${path} cannot be opened: ${message}`);
      const why =
        mode === 'read'
          ? 'it is being written, or its writer was ended, and then whoever reads it must be able to write in its folder'
          : 'it and its folder must be such that they can be written';
      throw new UserError(
        `${path} cannot be opened: ${message}: ${why}; copy it to a place that can be written`,
      );
    }
    return new SqliteStore(path, db, isNew);
  },
};

/** Node's own, where it can load extensions (22.13 and later); else the same in a package, which is built from Node's sources. */
async function databaseClass(): Promise<typeof DatabaseSync> {
  const own = process.getBuiltinModule?.('node:sqlite') as { DatabaseSync: typeof DatabaseSync } | undefined;
  if (own && 'loadExtension' in own.DatabaseSync.prototype) return own.DatabaseSync;
  return (await import('@photostructure/sqlite')).DatabaseSync;
}

const SCHEMA = (dim: number) => `
  create table conquer_record (only integer primary key check (only = 1), record text not null);
  create table conquer_items
    (first integer primary key, images integer not null, id text not null unique, item text not null);
  create table conquer_labels (label text not null, key integer not null, primary key (label, key)) without rowid;
  create index conquer_labels_key on conquer_labels (key);
  create virtual table conquer_rows using vec0 (key integer primary key, embedding float[${dim}], +item integer);
`;

class SqliteStore implements VectorStore {
  readonly mostNumbers = 8192;

  constructor(
    readonly path: string,
    private readonly db: Database,
    private readonly isNew: boolean,
  ) {}

  get name() {
    return `sqlite:${this.path}`;
  }

  async record() {
    if (this.get("select 1 from sqlite_master where name = 'conquer_record'") === undefined) return null;
    return (this.get('select record from conquer_record')?.record as string | undefined) ?? null;
  }

  async create(dim: number, record: string) {
    this.transaction(() => {
      this.db.exec(SCHEMA(dim));
      this.run('insert into conquer_record values (1, ?)', record);
    });
  }

  async drop() {
    this.transaction(() => {
      for (const table of ['record', 'items', 'labels', 'rows'])
        this.db.exec(`drop table if exists conquer_${table}`);
    });
  }

  async keep(record: string) {
    this.transaction(() => this.run('update conquer_record set record = ?', record));
  }

  async counts() {
    const { items, rows } = this.get(
      'select count(*) items, coalesce(sum(images), 0) rows from conquer_items',
    )!;
    return { items: Number(items), rows: Number(rows) };
  }

  async itemsById(ids: readonly string[]) {
    return this.some('id in (select value from json_each(?))', JSON.stringify(ids));
  }

  async itemsByKey(firsts: readonly number[]) {
    return this.some('first in (select value from json_each(?))', JSON.stringify(firsts));
  }

  async *items() {
    for (let after = -1n; ; ) {
      const page = this.some(`first > ? order by first limit ${PAGE}`, after);
      yield* page;
      const last = page.at(-1);
      if (last === undefined) return;
      after = BigInt(last.first);
    }
  }

  private some(where: string, value: string | bigint): StoredItem[] {
    const found = this.db.prepare(`select first, item from conquer_items where ${where}`).all(value);
    return found.map((row) => ({ ...itemOfLine(row.item as string), first: Number(row.first) }));
  }

  async rows(keys: readonly number[]) {
    const select = this.db.prepare('select embedding from conquer_rows where key = ?');
    return keys.map((key) => numbersOf(select.get(BigInt(key))!.embedding));
  }

  async change({ remove, relabel, put }: StoreChange) {
    this.transaction(() => {
      for (const id of remove) this.remove(id);
      const update = this.db.prepare('update conquer_items set item = ? where first = ?');
      for (const item of relabel) {
        const [there] = this.some('id = ?', item.id);
        if (there === undefined) continue;
        update.run(itemLine(item), BigInt(there.first));
        this.unlabel(there.first, there.images.length);
        this.label(item, there.first);
      }
      const insertItem = this.db.prepare('insert into conquer_items values (?, ?, ?, ?)');
      const insertRow = this.db.prepare('insert into conquer_rows (key, embedding, item) values (?, ?, ?)');
      let next = Number(this.get('select coalesce(max(first + images), 0) next from conquer_items')!.next);
      for (const batch of put) {
        const count = rowsOfBatch(batch);
        const dim = batch.rows.length / count;
        for (const { item } of keyed(batch, next, dim)) this.remove(item.id);
        for (const { item, first, rows } of keyed(batch, next, dim)) {
          insertItem.run(BigInt(first), BigInt(item.images.length), item.id, itemLine(item));
          this.label(item, first);
          for (let image = 0; image < item.images.length; image++)
            insertRow.run(
              BigInt(first + image),
              bytesOf(rows.subarray(image * dim, (image + 1) * dim)),
              BigInt(first),
            );
        }
        next += count;
      }
    });
  }

  private remove(id: string): void {
    const [there] = this.some('id = ?', id);
    if (there === undefined) return;
    const { first, images } = there;
    this.run('delete from conquer_items where first = ?', BigInt(first));
    this.unlabel(first, images.length);
    for (let key = first; key < first + images.length; key++)
      this.run('delete from conquer_rows where key = ?', BigInt(key));
  }

  private label(item: IndexItem, first: number): void {
    for (const label of new Set(item.labels))
      for (let image = 0; image < item.images.length; image++)
        this.run('insert into conquer_labels values (?, ?)', label, BigInt(first + image));
  }

  private unlabel(first: number, images: number): void {
    this.run(
      'delete from conquer_labels where key between ? and ?',
      BigInt(first),
      BigInt(first + images - 1),
    );
  }

  /** By the Euclidean distance, which orders rows of length 1 as the cosine does, and is never undefined. */
  async nearest(query: Float32Array, k: number, { label }: NearOptions): Promise<NearRow[]> {
    const only = label === null ? '' : 'key in (select key from conquer_labels where label = ?)';
    const labels = label === null ? [] : [label];
    const found =
      k <= MOST_NEIGHBOURS
        ? this.db
            .prepare(
              `select key, item, embedding from conquer_rows where embedding match ? and k = ?${only && ` and ${only}`}`,
            )
            .all(bytesOf(query), BigInt(k), ...labels)
        : this.db
            .prepare(
              `select key, item, embedding from conquer_rows${only && ` where ${only}`} order by vec_distance_l2(embedding, ?) limit ?`,
            )
            .all(...labels, bytesOf(query), BigInt(k));
    return found.map(({ key, item, embedding }) => ({
      key: Number(key),
      item: Number(item),
      row: numbersOf(embedding),
    }));
  }

  async build() {
    return false;
  }

  async isBuilt() {
    return false;
  }

  async close() {
    // sqlite_sequence stays, once there was one.
    const others = "select 1 from sqlite_master where name not like 'sqlite%'";
    const isEmpty = this.isNew && this.get(others) === undefined;
    try {
      // Else whoever searches it would have to be able to write beside it.
      this.db.exec('pragma journal_mode = delete');
    } catch {
      // Somebody else has it open, or it was opened to be read.
    }
    // Where Node has no SQLite of its own, the file stays open until the statements are collected.
    this.db.close();
    if (isEmpty) rmSync(this.path, { force: true });
  }

  private get(sql: string): Record<string, unknown> | undefined {
    return this.db.prepare(sql).get() as Record<string, unknown> | undefined;
  }

  private run(sql: string, ...values: (string | bigint)[]): void {
    this.db.prepare(sql).run(...values);
  }

  private transaction(work: () => void): void {
    try {
      this.db.exec('begin immediate');
    } catch (error) {
      throw new UserError(`${this.name} cannot be written: ${(error as Error).message}`);
    }
    try {
      work();
      this.db.exec('commit');
    } catch (error) {
      this.db.exec('rollback');
      throw error;
    }
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const numbersOf = (bytes: unknown): Float32Array => new Float32Array((bytes as Uint8Array).slice().buffer);
