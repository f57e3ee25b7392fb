import { type IndexItem, itemLine } from '@conquer-dml/run';

/** A list of items with their keys, and whether they are there or go. */
type ListedItems = readonly { item: IndexItem; first: number; there: boolean }[];

/** What a LanceDB of an index holds, as Arrow tables: of types that are said, as LanceDB guesses them from JavaScript's otherwise. */
export async function arrowTables() {
  const arrow = await import('apache-arrow');
  const { Field, Int64, Int32, Utf8, Bool, Float32, FixedSizeList, List, Schema, Struct, Table } = arrow;
  const field = (name: string, type: InstanceType<typeof arrow.DataType>) => new Field(name, type, false);
  const int64 = (values: readonly number[]) =>
    arrow.makeData({ type: new Int64(), data: BigInt64Array.from(values, BigInt) });
  const table = (schema: InstanceType<typeof Schema>, children: InstanceType<typeof arrow.Data>[]) => {
    const data = arrow.makeData({
      type: new Struct(schema.fields),
      length: children[0]!.length,
      nullCount: 0,
      children,
    });
    return new Table(schema, [new arrow.RecordBatch(schema, data)]);
  };

  return {
    /** @param rows D numbers of each key @param items keys of the first rows of their items */
    rows(dim: number, keys: readonly number[], rows: Float32Array, items: readonly number[]) {
      const numbers = new Field('item', new Float32(), true);
      const list = new FixedSizeList(dim, numbers);
      const schema = new Schema([
        field('key', new Int64()),
        field('item', new Int64()),
        field('embedding', list),
      ]);
      const child = arrow.makeData({ type: new Float32(), data: rows });
      const embedding = arrow.makeData({ type: list, length: keys.length, nullCount: 0, child });
      return table(schema, [int64(keys), int64(items), embedding]);
    },

    items(list: ListedItems) {
      const labels = new List(new Field('item', new Utf8(), true));
      const schema = new Schema([
        field('id', new Utf8()),
        field('first', new Int64()),
        field('images', new Int32()),
        field('labels', labels),
        field('item', new Utf8()),
        field('there', new Bool()),
      ]);
      const vector = <T>(type: InstanceType<typeof arrow.DataType>, of: (one: ListedItems[number]) => T) =>
        arrow.vectorFromArray(list.map(of), type as never).data[0]!;
      return table(schema, [
        vector(new Utf8(), ({ item }) => item.id),
        int64(list.map(({ first }) => first)),
        arrow.makeData({ type: new Int32(), data: Int32Array.from(list, ({ item }) => item.images.length) }),
        vector(labels, ({ item }) => [...item.labels]),
        vector(new Utf8(), ({ item }) => itemLine(item)),
        vector(new Bool(), ({ there }) => there),
      ]);
    },

    record(record: string) {
      const data = arrow.vectorFromArray([record], new Utf8()).data[0]!;
      return table(new Schema([field('record', new Utf8())]), [data]);
    },
  };
}
