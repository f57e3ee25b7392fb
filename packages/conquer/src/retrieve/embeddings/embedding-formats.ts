import { extname } from 'node:path';
import { UserError } from '@conquer-dml/run';
import type { EmbeddingFormat } from './embedding-table.js';
import { linesFormat } from './lines-format.js';
import { numpyFormat } from './numpy-format.js';
import { parquetFormat } from './parquet-format.js';
import { safetensorsFormat } from './safetensors-format.js';

/** The kinds of files that embeddings are written into. */
export const embeddingFormats: readonly EmbeddingFormat[] = [
  safetensorsFormat,
  numpyFormat,
  parquetFormat,
  linesFormat,
];

/** @throws UserError for a name that ends in none of theirs */
export function formatOf(file: string): EmbeddingFormat {
  const found = embeddingFormats.find(({ extension }) => extension === extname(file).toLowerCase());
  if (found) return found;
  const all = embeddingFormats.map(({ extension }) => extension).join(', ');
  throw new UserError(`${file}: expected a name that ends in one of ${all}`);
}
