/** Where a file is: its address, or what it holds. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array;

export interface OpenOptions {
  /** Ends the fetching. */
  signal?: AbortSignal;
}

/**
 * All bytes of a file.
 *
 * @param what it should be, for the error
 * @throws Error where it cannot be fetched; the signal's reason once that is aborted
 */
export async function readBytes(source: Source, what: string, { signal }: OpenOptions): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  const address = String(source);
  try {
    const response = await fetch(address, { signal: signal ?? null });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${address}: expected ${what}, which could not be fetched: ${(error as Error).message}`);
  }
}

/** What a source is called in errors. */
export const nameOf = (source: Source, what: string): string =>
  typeof source === 'string' || source instanceof URL ? String(source) : what;
