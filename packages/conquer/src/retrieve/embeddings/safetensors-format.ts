import { UserError } from '@conquer-dml/run';
import { readSafetensors, scope, tensor, writeSafetensors } from '@conquer-dml/torch';
import type { EmbeddingFormat, EmbeddingTable } from './embedding-table.js';

const FORMAT = 'conquer-embeddings-1';

/** UTF-8 with a zero between the texts; one zero where there is none, as an empty tensor has no place in a file. */
const encoded = (texts: readonly string[]) => new TextEncoder().encode(texts.join('\0'));

/** Tensors `embeddings` (N, D), and `ids` and `paths`: texts in UTF-8 with a zero between them. */
export const safetensorsFormat: EmbeddingFormat = {
  extension: '.safetensors',
  help: 'tensors embeddings (N, D), ids, paths',

  write(file: string, { ids, paths, rows, dim, embedder }: EmbeddingTable): void {
    scope(() => {
      const tensors = new Map([
        ['embeddings', tensor(rows, { shape: [ids.length, dim] })],
        ['ids', tensor(encoded(ids))],
        ['paths', tensor(encoded(paths))],
      ]);
      writeSafetensors(file, tensors, { format: FORMAT, embedder }, { checksum: true });
    });
  },

  read(file: string): EmbeddingTable {
    return scope(() => {
      let read: ReturnType<typeof readSafetensors>;
      try {
        read = readSafetensors(file);
      } catch (error) {
        throw new UserError(`the embeddings cannot be read: ${(error as Error).message}`);
      }
      const { tensors, metadata } = read;
      const embeddings = tensors.get('embeddings');
      const [count = -1, dim = 0] = embeddings?.shape ?? [];
      const rows = embeddings?.toTypedArray();
      const texts = (name: string) => {
        const bytes = tensors.get(name)?.toTypedArray();
        if (!(bytes instanceof Uint8Array)) return [];
        return count === 0 ? [] : new TextDecoder().decode(bytes).split('\0');
      };
      const [ids, paths] = [texts('ids'), texts('paths')];
      const { format, embedder = '' } = metadata;
      if (
        format !== FORMAT ||
        !(rows instanceof Float32Array) ||
        ids.length !== count ||
        paths.length !== count
      )
        throw new UserError(
          `${file}: expected embeddings that conquer embed wrote (${FORMAT}), got another file`,
        );
      return { ids, paths, rows, dim, embedder };
    });
  },
};
