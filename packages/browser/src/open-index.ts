import { nameOf, type OpenOptions, readBytes, type Source } from './read-bytes.js';
import { SmallIndex, type StoredItem } from './small-index.js';
import { parseThresholds } from './threshold.js';

export interface OpenIndexOptions extends OpenOptions {
  /** What is to embed the queries: an index of other weights is refused. */
  model?: { embedder: string };
}

const WHAT = 'index.safetensors, which conquer export writes of an index';

/**
 * Opens an index that was exported.
 *
 * @param source its address, or what it holds
 * @throws Error where it cannot be fetched, is something else, damaged, or of another model
 */
export async function openIndex(
  source: Source,
  { model, ...options }: OpenIndexOptions = {},
): Promise<SmallIndex> {
  const name = nameOf(source, 'the index');
  const index = readIndex(await readBytes(source, WHAT, options), name);
  if (model && model.embedder !== index.embedder)
    throw new Error(
      `${name}: expected rows of the model that is opened, got those of another: export both together`,
    );
  return index;
}

/** What safetensors has before its tensors. */
interface Header {
  __metadata__?: Record<string, string>;
  rows?: { dtype: string; shape: [number, number]; data_offsets: [number, number] };
}

/** Reads safetensors: 8 bytes of length, a header in JSON with the items in its metadata, and `rows` (R, D) in int8. */
function readIndex(bytes: Uint8Array, name: string): SmallIndex {
  const refused = (problem: string) => new Error(`${name}: expected ${WHAT}; it is ${problem}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? Number.NaN : Number(view.getBigUint64(0, true));
  if (!(8 + length <= bytes.length)) throw refused('another file, or cut off');
  let metadata: Record<string, string>;
  let rows: Header['rows'];
  let items: StoredItem[];
  try {
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Header;
    metadata = header.__metadata__ ?? {};
    rows = header.rows;
    items = JSON.parse(metadata['conquer.items'] ?? '') as StoredItem[];
  } catch {
    throw refused('another file');
  }
  if (rows?.dtype !== 'I8') throw refused('another file');
  const [count, dim] = rows.shape;
  const [start, end] = rows.data_offsets;
  const images = items.reduce((sum, item) => sum + item.images, 0);
  if (images !== count || end - start !== count * dim || 8 + length + end !== bytes.length)
    throw refused('damaged or cut off');
  return new SmallIndex(
    new Int8Array(bytes.buffer, bytes.byteOffset + 8 + length + start, end - start),
    items,
    dim,
    metadata['conquer.embedder'] ?? null,
    parseThresholds(metadata['conquer.thresholds'] ?? '[]', name),
  );
}
