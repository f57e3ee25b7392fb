import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type IndexItem, itemOfLine, takeLock, UserError, writeProblem } from '@conquer-dml/run';
import type { Connection, Table } from '@lancedb/lancedb';
import type { Table as ArrowTable } from 'apache-arrow';
import { arrowTables } from './lance-tables.js';
import { storePackage } from './store-package.js';
import {
  inPieces,
  keyed,
  type NearOptions,
  type NearRow,
  rowsOfBatch,
  type StoreChange,
  type StoredItem,
  type StoreKind,
  type VectorStore,
} from './vector-store.js';

const INSTALL = 'npm install @lancedb/lancedb apache-arrow';
/** Keys in a filter. */
const PIECE = 4096;
/** Fewer rows are compared sooner than an index of them is built. */
const FEWEST = 1024;

/**
 * A folder of LanceDB, or a bucket that it knows (s3://…). It has no transactions over two tables: rows are written first, and are
 * there once the table of items names them, in one version of that table. Rows that no item names are passed over, and go at the next
 * write. Labels stand with the items: a change of a label in the table of vectors would drop its index.
 */
export const lanceStore: StoreKind = {
  name: 'lancedb',
  place: 'DIR',
  help: 'a folder of LanceDB',
  own: (place) => ({
    check: `it has no checksums; conquer items lancedb:${place} reads all items`,
    compact: 'building its graph compacts it too',
  }),
  async open(place, mode) {
    const isRemote = /^[a-z0-9+]+:\/\//.test(place);
    const uri = isRemote ? place : resolve(place);
    if (!isRemote && mode !== 'create' && !existsSync(uri))
      throw new UserError(`${uri}: expected a folder of LanceDB, there is none`);
    if (!isRemote && !existsSync(dirname(uri)))
      throw new UserError(`${uri} cannot be written: there is no folder ${dirname(uri)}`);
    const isNew = !isRemote && !existsSync(uri);
    // It warns of each table that it makes; what is wrong it throws.
    process.env.LANCEDB_LOG ??= 'error';
    const lancedb = await storePackage('lancedb', INSTALL, () => import('@lancedb/lancedb'));
    const tables = await storePackage('lancedb', INSTALL, arrowTables);
    try {
      if (isNew) mkdirSync(uri);
    } catch (error) {
      throw writeProblem(uri, error);
    }
    try {
      const db = await lancedb.connect(uri, { readConsistencyInterval: 0 });
      return new LanceStore(`lancedb:${uri}`, db, isRemote ? null : uri, isNew, lancedb.Index, tables);
    } catch (error) {
      throw new UserError(`${uri} cannot be opened: ${(error as Error).message.split('\n')[0]}`);
    }
  },
};

type Tables = Awaited<ReturnType<typeof arrowTables>>;

class LanceStore implements VectorStore {
  /** None was met; a limit of conquer's own, so that a wrong file is not taken for rows. */
  readonly mostNumbers = 65_536;

  constructor(
    readonly name: string,
    private readonly db: Connection,
    readonly path: string | null,
    private readonly isNew: boolean,
    private readonly index: typeof import('@lancedb/lancedb').Index,
    private readonly tables: Tables,
  ) {}

  async record() {
    // It is made last.
    if (!(await this.db.tableNames()).includes('record')) return null;
    let record: Table;
    try {
      record = await this.table('record');
    } catch (error) {
      // Its folder is there before it is: of an index that was just being made, and holds nothing.
      const { items } = await this.counts().catch(() => ({ items: 0 }));
      if (items === 0) return null;
      throw error;
    }
    const [row] = await record.query().toArray();
    return (row?.record as string | undefined) ?? null;
  }

  async create(dim: number, record: string) {
    using _ = this.lock();
    const { tables, db } = this;
    await db.createTable('rows', tables.rows(dim, [], new Float32Array(0), []), { mode: 'overwrite' });
    await db.createTable('items', tables.items([]), { mode: 'overwrite' });
    await db.createTable('record', tables.record(record), { mode: 'overwrite' });
  }

  async drop() {
    using _ = this.lock();
    const there = await this.db.tableNames();
    for (const name of ['record', 'items', 'rows']) if (there.includes(name)) await this.db.dropTable(name);
  }

  async keep(record: string) {
    await this.db.createTable('record', this.tables.record(record), { mode: 'overwrite' });
  }

  async counts() {
    const found = await (await this.table('items')).query().where('there').select(['images']).toArrow();
    let rows = 0;
    for (const images of numbersIn(found, 'images')) rows += images;
    return { items: found.numRows, rows };
  }

  async itemsById(ids: readonly string[]) {
    return this.some(
      ids.map((id) => text(id)),
      'id',
    );
  }

  async itemsByKey(firsts: readonly number[]) {
    return this.some(firsts.map(String), 'first');
  }

  private async some(values: readonly string[], column: string): Promise<StoredItem[]> {
    const items = await this.table('items');
    const found: StoredItem[] = [];
    for (const piece of inPieces(values, PIECE)) {
      const query = items.query().where(`there and ${column} in (${piece})`).select(['first', 'item']);
      found.push(...itemsIn(await query.toArrow()));
    }
    return found;
  }

  async *items() {
    const items = await this.table('items');
    const firsts = numbersIn(await items.query().where('there').select(['first']).toArrow(), 'first');
    firsts.sort();
    for (const piece of inPieces(Array.from(firsts), PIECE)) {
      const where = `there and first >= ${piece[0]} and first <= ${piece.at(-1)}`;
      const page = itemsIn(await items.query().where(where).select(['first', 'item']).toArrow());
      yield* page.sort((a, b) => a.first - b.first);
    }
  }

  async rows(keys: readonly number[]) {
    const rows = await this.table('rows');
    const found = new Map<number, Float32Array>();
    for (const piece of inPieces(keys, PIECE)) {
      const query = rows.query().where(`key in (${piece})`).select(['key', 'item', 'embedding']);
      for (const { key, row } of rowsIn(await query.toArrow())) found.set(key, row);
    }
    return keys.map((key) => found.get(key)!);
  }

  async change({ remove, relabel, put }: StoreChange) {
    using _ = this.lock();
    await this.sweep();
    const rows = await this.table('rows');
    const items = await this.table('items');
    const keys = numbersIn(await rows.query().select(['key']).toArrow(), 'key');
    let next = keys.reduce((most, key) => Math.max(most, key), -1) + 1;
    const changed: { item: IndexItem; first: number; there: boolean }[] = [];
    for (const batch of put) {
      const count = rowsOfBatch(batch);
      const dim = batch.rows.length / count;
      const all = [...keyed(batch, next, dim)];
      const owners = all.flatMap(({ item, first }) => item.images.map(() => first));
      await rows.add(
        this.tables.rows(
          dim,
          Array.from(owners, (_, at) => next + at),
          batch.rows,
          owners,
        ),
      );
      for (const { item, first } of all) changed.push({ item, first, there: true });
      next += count;
    }
    const isPut = new Set(changed.map(({ item }) => item.id));
    const others = new Map(relabel.map((item) => [item.id, item] as const));
    const gone = new Set(remove);
    const known = await this.itemsById(
      [...new Set([...others.keys(), ...gone])].filter((id) => !isPut.has(id)),
    );
    for (const { first, ...item } of known)
      changed.push({ item: others.get(item.id) ?? item, first, there: !gone.has(item.id) });
    if (changed.length === 0) return;
    // From here on it is so.
    await items
      .mergeInsert('id')
      .whenMatchedUpdateAll()
      .whenNotMatchedInsertAll()
      .execute(this.tables.items(changed));
    await this.sweep();
    // What was added is compared one by one until it is in the index too.
    if (await this.isBuilt()) await rows.optimize();
    await items.optimize();
  }

  /** Removes rows that no item names: of items that were replaced or removed, or of a writer that was killed. */
  private async sweep(): Promise<void> {
    const rows = await this.table('rows');
    const items = await this.table('items');
    if ((await items.countRows('not there')) > 0) await items.delete('not there');
    const { rows: named } = await this.counts();
    if ((await rows.countRows()) === named) return;
    const there = new Set(numbersIn(await items.query().select(['first']).toArrow(), 'first'));
    const owners = new Set(numbersIn(await rows.query().select(['item']).toArrow(), 'item'));
    const unnamed = [...owners].filter((owner) => !there.has(owner));
    for (const piece of inPieces(unnamed, PIECE)) await rows.delete(`item in (${piece})`);
  }

  /** By the Euclidean distance, which orders rows of length 1 as the cosine does: LanceDB's cosine is another one with an index. */
  async nearest(query: Float32Array, k: number, { label, width }: NearOptions): Promise<NearRow[]> {
    const rows = await this.table('rows');
    let search = rows.vectorSearch(query).column('embedding').distanceType('l2').limit(k);
    search = search.select(['key', 'item', 'embedding', '_distance']);
    if (label !== null) {
      const items = await this.table('items');
      const where = `there and array_has(labels, ${text(label)})`;
      const firsts = numbersIn(await items.query().where(where).select(['first']).toArrow(), 'first');
      if (firsts.length === 0) return [];
      search = search.where(`item in (${Array.from(firsts)})`);
    }
    if (width === null) return rowsIn(await search.bypassVectorIndex().toArrow());
    // Parts of the index, each of as many rows as there are parts: more than enough to be sure of.
    search = search.nprobes(width);
    const found = rowsIn(await search.toArrow());
    return found.length === k ? found : rowsIn(await search.bypassVectorIndex().toArrow());
  }

  async build() {
    using _ = this.lock();
    const rows = await this.table('rows');
    const items = await this.table('items');
    await rows.optimize();
    await items.optimize();
    const count = await rows.countRows();
    if (count < FEWEST) return false;
    for (const column of ['id', 'first']) await items.createIndex(column, { config: this.index.btree() });
    await items.createIndex('labels', { config: this.index.labelList() });
    for (const column of ['key', 'item']) await rows.createIndex(column, { config: this.index.btree() });
    // Rows as they are, in parts: an index of compressed ones, or graphs, takes 20 to 40 times as long to build, and finds less.
    await rows.createIndex('embedding', {
      name: 'embedding_index',
      config: this.index.ivfFlat({ distanceType: 'l2', numPartitions: Math.ceil(Math.sqrt(count)) }),
    });
    return true;
  }

  async isBuilt() {
    const indices = await (await this.table('rows')).listIndices();
    return indices.some(({ columns }) => columns.includes('embedding'));
  }

  async close() {
    this.db.close();
    if (!this.isNew) return;
    try {
      rmdirSync(this.path!);
    } catch {
      // It holds an index now.
    }
  }

  private async table(name: string): Promise<Table> {
    try {
      return await this.db.openTable(name);
    } catch (error) {
      throw new UserError(`${this.name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }

  /** Of one writer; in a bucket LanceDB itself refuses the second commit. */
  private lock(): Disposable {
    const unlock =
      this.path === null
        ? () => {}
        : takeLock(join(this.path, 'writing.json'), this.path, 'is being written');
    return { [Symbol.dispose]: unlock };
  }
}

/** A text in a filter. */
const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Keys and counts, which are far below 2^53. */
function numbersIn(table: ArrowTable, column: string): Float64Array {
  // Of no rows it has no columns either.
  return Float64Array.from((table.getChild(column)?.toArray() ?? []) as ArrayLike<bigint>, Number);
}

function itemsIn(table: ArrowTable): StoredItem[] {
  const firsts = numbersIn(table, 'first');
  const lines = table.getChild('item')!;
  return Array.from(firsts, (first, at) => ({ ...itemOfLine(lines.get(at) as string), first }));
}

function rowsIn(table: ArrowTable): NearRow[] {
  const [keys, items] = [numbersIn(table, 'key'), numbersIn(table, 'item')];
  const rows = table.getChild('embedding')!;
  return Array.from(keys, (key, at) => ({
    key,
    item: items[at]!,
    row: Float32Array.from(rows.get(at).toArray() as Float32Array),
  }));
}
