// A server that is sent an image and answers with the images most like it. The network and the index live in a thread of
// their own, so that the server goes on answering others while an image is embedded.
// node examples/dist/search-server.js runs/photos photos 8080
// curl --silent --show-error --data-binary @photo.png http://localhost:8080
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import {
  isMainThread,
  MessageChannel,
  type MessagePort,
  parentPort,
  Worker,
  workerData,
} from 'node:worker_threads';
import { indexFolder, openModel } from 'conquer-dml';

interface Request {
  image: Uint8Array;
  /** Where the answer goes. */
  port: MessagePort;
}

async function search(requests: MessagePort, run: string, folder: string): Promise<void> {
  const model = await openModel(run);
  const { index } = await indexFolder(model, folder);
  requests.on('message', async ({ image, port }: Request) => {
    try {
      const found = index.search(await model.embed([image]), 5, { embedder: model })[0] ?? [];
      port.postMessage({ status: 200, body: found.map(({ id, similarity }) => ({ id, similarity })) });
    } catch (error) {
      port.postMessage({ status: 400, body: (error as Error).message }); // it was no image
    }
  });
  requests.postMessage('ready');
}

async function serve(run: string, folder: string, port: number): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { run, folder } });
  await once(worker, 'message');
  const answer = async (image: Uint8Array) => {
    const { port1, port2 } = new MessageChannel();
    worker.postMessage({ image, port: port2 } satisfies Request, [port2]);
    const [found] = await once(port1, 'message');
    port1.close();
    return found;
  };
  const server = createServer(async (request, response) => {
    try {
      const { status, body } = await answer(await buffer(request));
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
    } catch {
      response.destroy(); // it went away before it had sent all
    }
  });
  server.listen(port);
  await once(server, 'listening');
  console.log(`listening on http://localhost:${(server.address() as AddressInfo).port}`);
}

const [run = 'runs/photos', folder = 'photos', port = '8080'] = process.argv.slice(2);
if (isMainThread) await serve(run, folder, Number(port));
else await search(parentPort!, workerData.run, workerData.folder);
