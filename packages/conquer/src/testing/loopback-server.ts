import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LoopbackAnswer {
  status: number;
  content: object;
}

/** A server on loopback that stands for a tracker's: it answers each request with JSON, and keeps the credentials. */
export abstract class LoopbackServer {
  readonly authorizations = new Set<string | undefined>();
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        this.authorizations.add(request.headers.authorization);
        const { status, content } = this.answer(request.method ?? '', request.url ?? '', body);
        response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(content));
      });
    });
  }

  protected abstract answer(method: string, url: string, body: string): LoopbackAnswer;

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
