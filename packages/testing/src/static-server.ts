import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/**
 * Folders on the loopback, for a browser.
 *
 * @param folders by the beginnings of addresses, such as `/ort/`; the first that fits counts. Where nothing is, / is an empty page
 */
export async function serveFolders(
  folders: Readonly<Record<string, string>>,
): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (path === '/') return void response.setHeader('content-type', 'text/html').end('<!doctype html>');
    const [start, folder] = Object.entries(folders).find(([start]) => path.startsWith(start)) ?? ['', ''];
    const file = join(folder, path.slice(start.length));
    if (start === '' || !statSync(file, { throwIfNoEntry: false })?.isFile())
      return void response.writeHead(404).end();
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => void server.close(),
  };
}
