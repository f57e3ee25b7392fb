/** Images and the rows that stand for them. */
export interface EmbeddingTable {
  /** N paths within the folder that was embedded, with / between their parts; each is there once. */
  ids: readonly string[];
  /** N absolute paths. */
  paths: readonly string[];
  /** (N × D), one after the other, each of length 1. */
  rows: Float32Array;
  /** D. */
  dim: number;
  /** The identity of what made the rows: of two tables' rows only those of one can be compared. */
  embedder: string;
}

/** A kind of file that holds such a table. */
export interface EmbeddingFormat {
  /** What the names of its files end in. */
  extension: string;
  help: string;
  /** Writes it whole or not at all. */
  write(file: string, table: EmbeddingTable): void | Promise<void>;
  /** @throws UserError where the file is not one that `write` wrote */
  read(file: string): EmbeddingTable | Promise<EmbeddingTable>;
}

/** The D numbers of row n; they are the table's own. */
export function rowOf({ rows, dim }: Pick<EmbeddingTable, 'rows' | 'dim'>, n: number): Float32Array {
  return rows.subarray(n * dim, (n + 1) * dim);
}
