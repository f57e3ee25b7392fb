import { join } from 'node:path';
import { ParquetImages, parquetRowOf, withoutBox } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import { cacheFolder } from '../cache-folder.js';

type RowReader = (path: string) => Promise<Uint8Array>;

/** What @conquer-dml/dashboard offers. It is built after this package, whose run folder it reads, so that its types are told here. */
export interface DashboardModule {
  serveDashboard(options: {
    runsDir: string;
    host?: string;
    port?: number;
    token?: string;
    dataDirs: string[];
    readRow: RowReader;
  }): Promise<{ url: string; token: string | null; close(): Promise<void> }>;
  thumbnail(
    path: string,
    size: number,
    options: { quality?: number; readRow: RowReader },
  ): Promise<Uint8Array | null>;
  writeReport(options: {
    runs: string[];
    out?: string;
    dataDirs: string[];
    readRow: RowReader;
    onProgress(what: string): void;
  }): Promise<{ file: string; bytes: number }>;
}

/** @throws UserError when it is not built */
export async function loadDashboard(): Promise<DashboardModule> {
  const name = '@conquer-dml/dashboard';
  try {
    return await import(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UserError('the dashboard is not built: run npm run build');
  }
}

/** What reads images in rows of Parquet files for it; it knows no such files itself. */
export function rowReader(): RowReader {
  const images = new ParquetImages();
  return async (path) => {
    const row = parquetRowOf(withoutBox(path));
    if (row === null) throw new RangeError(`${path} is no row of a Parquet file`);
    return await images.read(row, path);
  };
}

/** Where the embedded data sets' pictures are, which runs refer to. */
export const pictureFolders = (): string[] => [join(cacheFolder(), 'emoji')];
