import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Where the build puts the page: dist/page, from src as from dist. */
export const pageFolder = fileURLToPath(new URL('../dist/page/', import.meta.url));

/** A file of the page. */
export interface PageFile {
  type: string;
  content: Buffer;
}

/** All files of the built page by their address ('index.html', 'assets/…'); only these are served. */
export function pageFiles(folder = pageFolder): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch {
    return files;
  }
  for (const name of names) {
    const type = TYPES[extname(name)];
    if (type) files.set(name.replaceAll('\\', '/'), { type, content: readFileSync(join(folder, name)) });
  }
  return files;
}
