import { compressors, parquetFile, parquetRowPath } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import type { FileMetaData } from 'hyparquet';
import type { ShardFile, ShardImages, ShardOptions } from './shard-files.js';

/** What Hugging Face's data sets write beside their columns: of each what it is. */
type Features = Record<string, { _type?: string; names?: string[]; feature?: unknown } | undefined>;

/** Columns that are taken for the image and the class where nothing says which they are. */
const IMAGE = ['image', 'img', 'jpg', 'png'];
const LABEL = ['label', 'labels', 'class', 'cls'];

/**
 * The images of a Parquet file: a column of bytes, or of structs with a field `bytes`, and one of classes. What Hugging Face's data
 * sets say of their columns is followed: which is an Image, which a ClassLabel, and the names of its classes. Of the images
 * nothing is read.
 *
 * @throws UserError where the file is damaged, or has no such columns or several
 */
export async function parquetShard(shard: ShardFile, options: ShardOptions): Promise<ShardImages> {
  const { path } = shard;
  const { parquetMetadataAsync, parquetRead } = await import('hyparquet');
  const refuse = (error: unknown): never => {
    throw new UserError(
      `${path}: expected a Parquet file, but it cannot be read (${error instanceof Error ? error.message : error})`,
    );
  };
  const file = await parquetFile(path).catch(refuse);
  const metadata = await parquetMetadataAsync(file).catch(refuse);
  const features = featuresOf(metadata);
  const column = columnOf(shard, metadata, {
    what: 'image',
    asked: options.image,
    typed: Object.keys(features).filter((name) => features[name]?._type === 'Image'),
    usual: IMAGE,
  });
  if (
    !leavesOf(metadata, column!).some(
      ({ type, field }) => type === 'BYTE_ARRAY' && (field ?? 'bytes') === 'bytes',
    )
  )
    throw new UserError(
      `${path}: expected the column ${column} to hold images, as bytes or a struct with a field bytes`,
    );
  const labelColumn = columnOf(shard, metadata, {
    what: 'label',
    asked: options.label,
    typed: Object.keys(features).filter((name) => features[name]?._type === 'ClassLabel'),
    usual: LABEL,
  });
  const count = Number(metadata.num_rows);
  const labels = new Int32Array(count).fill(-1);
  const numbers = new Map<string, number>();
  if (labelColumn !== null && count > 0) {
    const names = features[labelColumn]?.names;
    const numberOf = (value: unknown): number => {
      const name = nameOfClass(value, names, path, labelColumn);
      if (name === null) return -1;
      const known = numbers.get(name);
      if (known === undefined) numbers.set(name, numbers.size);
      return known ?? numbers.size - 1;
    };
    const seen = new Map<unknown, number>();
    const chunks: { rowStart: number; columnData: ArrayLike<unknown> }[] = [];
    // What its callback throws nobody catches.
    await parquetRead({
      ...{ file, metadata, compressors, columns: [labelColumn] },
      onChunk: (chunk) => void chunks.push(chunk),
    }).catch(refuse);
    for (const { rowStart, columnData } of chunks) {
      for (let i = 0; i < columnData.length; i++) {
        const value = columnData[i];
        let number = seen.get(value);
        if (number === undefined) {
          number = numberOf(value);
          seen.set(value, number);
        }
        labels[rowStart + i] = number;
      }
    }
  }
  const paths = Array.from({ length: count }, (_, row) => parquetRowPath({ path, column: column!, row }));
  return { paths, classNames: [...numbers.keys()], labels, withoutImage: 0 };
}

function nameOfClass(
  value: unknown,
  names: readonly string[] | undefined,
  path: string,
  column: string,
): string | null {
  // Of ClassLabel -1 is no class.
  if (value === null || value === undefined || (names && Number(value) < 0)) return null;
  if (typeof value === 'object')
    throw new UserError(
      `${path}: expected one class in each row of the column ${column}, got a list or a struct`,
    );
  if (!names) return String(value).trim() || null;
  const name = names[Number(value)];
  if (name === undefined)
    throw new UserError(
      `${path}: expected classes from 0 to ${names.length - 1} in the column ${column}, got ${value}`,
    );
  return name;
}

function featuresOf({ key_value_metadata }: FileMetaData): Features {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return {};
  try {
    return (JSON.parse(text) as { info?: { features?: Features } }).info?.features ?? {};
  } catch {
    return {}; // not theirs: columns go by their names
  }
}

/** Columns that lie in one of the first level, itself where it has none: `field` is the name of the second level. */
function leavesOf({ row_groups, schema }: FileMetaData, column: string) {
  if (row_groups.length === 0) {
    const own = schema.find(({ name }) => name === column);
    return [{ type: 'BYTE_ARRAY', field: own?.type === undefined ? 'bytes' : undefined }];
  }
  return row_groups[0]!.columns.flatMap(({ meta_data }) => {
    const [top, field] = meta_data?.path_in_schema ?? [];
    return top === column ? [{ type: meta_data!.type, field }] : [];
  });
}

/** @returns null where there is no column of labels and none was asked for */
function columnOf(
  { path }: ShardFile,
  metadata: FileMetaData,
  wanted: {
    what: 'image' | 'label';
    asked: string | null;
    typed: readonly string[];
    usual: readonly string[];
  },
): string | null {
  const { what, asked, typed, usual } = wanted;
  const columns = topColumns(metadata);
  const there = columns.join(', ');
  if (asked !== null) {
    if (columns.includes(asked)) return asked;
    throw new UserError(`${path}: expected a column ${asked}, its columns are ${there}`);
  }
  const named = usual.filter((name) => columns.includes(name));
  const found = typed.length > 0 ? typed : named.slice(0, 1);
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new UserError(
      `${path}: several columns may be the ${what} (${found.join(', ')}): say which one, data.dataset.${what}`,
    );
  if (what === 'label') return null;
  throw new UserError(
    `${path}: expected a column of images (${usual.join(', ')}), its columns are ${there}: say which one, data.dataset.${what}`,
  );
}

/** Names of the columns of the first level. */
function topColumns({ schema }: FileMetaData): string[] {
  const names: string[] = [];
  let at = 1;
  const skip = (): void => {
    const { num_children = 0 } = schema[at++]!;
    for (let i = 0; i < num_children; i++) skip();
  };
  for (let i = 0; i < (schema[0]?.num_children ?? 0); i++) {
    names.push(schema[at]!.name);
    skip();
  }
  return names;
}
