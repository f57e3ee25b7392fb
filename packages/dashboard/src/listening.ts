import type { AddressInfo } from 'node:net';
import { UserError } from '@conquer-dml/run';
import type { createAdaptorServer } from '@hono/node-server';

/** Has a server listen. @throws UserError, in words, where it cannot */
export function listening(
  server: ReturnType<typeof createAdaptorServer>,
  port: number,
  host: string,
): Promise<AddressInfo> {
  return new Promise((done, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? `port ${port} is taken: choose another, or 0 for any that is free`
          : `expected an address of this machine, such as 127.0.0.1, got ${host}, port ${port}, which cannot be listened on: ${error.message}`;
      failed(new UserError(why));
    });
    server.listen(port, host, () => done(server.address() as AddressInfo));
  });
}
