import { type ImageIndexContents, indexContents, indexFields, indexTexts, UserError } from '@conquer-dml/run';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@conquer-dml/torch';
import { requireFiniteRows } from '../evaluate/finite-rows.js';

/** An index as it is on the disk. The embeddings belong to whoever has it. */
export interface StoredIndex {
  contents: ImageIndexContents;
  /** float32 (N, D) */
  embeddings: Tensor;
}

/**
 * Reads an index of any format, see `indexContents`.
 *
 * @param folder where the folder of images is now
 * @throws UserError when the file is missing, damaged, or no index, or the folder that is given is another one
 */
export function readIndex(file: string, folder: string | undefined): StoredIndex {
  let read: ReturnType<typeof readSafetensors>;
  try {
    read = readSafetensors(file);
  } catch (error) {
    throw new UserError(`the index cannot be read: ${(error as Error).message}`);
  }
  const { tensors, metadata } = read;
  const embeddings = tensors.get('embeddings');
  let kept = false;
  try {
    const texts = indexTexts.flatMap((name) => {
      const bytes = tensors.get(name)?.toTypedArray();
      return bytes instanceof Uint8Array ? [[name, bytes] as const] : [];
    });
    const stamps = tensors.get('stamps')?.toTypedArray();
    const count = embeddings?.ndim === 2 ? embeddings.size(0) : -1;
    const contents = indexContents(
      {
        metadata,
        texts: new Map(texts),
        stamps: embeddings && stamps instanceof Float64Array ? stamps : undefined,
      },
      count,
      { file, folder },
    );
    requireFiniteRows(embeddings!, (row) => contents.items[row]!.id);
    kept = true;
    return { contents, embeddings: embeddings! };
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(file)) throw error;
    throw new UserError(`${file}: ${message}; index the folder again`);
  } finally {
    for (const value of tensors.values()) if (!kept || value !== embeddings) value.dispose();
  }
}

/**
 * Writes one safetensors file, whole or not at all; docs/search.md says what is in it.
 * @throws SerializationError when it cannot be written
 */
export function writeIndex(file: string, { contents, embeddings }: StoredIndex): void {
  const { metadata, texts, stamps } = indexFields(contents, file);
  const made = [...texts].map(([name, bytes]) => [name, tensor(bytes)] as const);
  using stamped = tensor(stamps, { shape: [contents.items.length, 2] });
  try {
    const tensors = new Map([['embeddings', embeddings], ['stamps', stamped], ...made]);
    writeSafetensors(file, tensors, metadata, { checksum: true });
  } finally {
    for (const [, bytes] of made) bytes.dispose();
  }
}
