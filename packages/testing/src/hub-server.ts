import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRepository {
  files: Readonly<Record<string, Uint8Array | string>>;
  license?: string;
  /** The token without which it is not given. */
  gatedBy?: string;
}

/** What was asked: `HEAD hub /owner/name/resolve/…`, with its token. */
export interface HubRequest {
  what: string;
  authorization: string | undefined;
  range: string | undefined;
}

/**
 * A hub of models on this machine, with the layout and the headers of Hugging Face's: what is large is on another host, to
 * which the hub sends on with its SHA-256 sum in a header of its own.
 */
export class HubServer {
  readonly repositories = new Map<string, HubRepository>();
  readonly requests: HubRequest[] = [];
  /** Files of so many bytes and more are kept on the other host. */
  largeFrom = 1000;
  /** The other host sends so many bytes of an answer and hangs up; null: all. */
  hangUpAfter: number | null = null;
  /** What the other host sends in the place of a file. */
  instead: Uint8Array | null = null;
  private readonly hub: Server;
  private readonly store: Server;

  private constructor() {
    this.hub = createServer((request, response) => this.answer(request, response));
    this.store = createServer((request, response) => this.give(request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    await Promise.all([listening(server.hub), listening(server.store)]);
    return server;
  }

  /** What HF_ENDPOINT names. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`;
  }

  /** The commit of a repository: other files, another commit. */
  commitOf(name: string): string {
    const hash = createHash('sha1');
    for (const [file, content] of Object.entries(this.repositories.get(name)!.files))
      hash.update(file).update(content);
    return hash.digest('hex');
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.store]) server.closeAllConnections();
    await Promise.all([this.hub, this.store].map((server) => new Promise((done) => server.close(done))));
  }

  private note(host: string, { method, url, headers }: IncomingMessage): void {
    const { authorization, range } = headers;
    this.requests.push({ what: `${method} ${host} ${url}`, authorization, range });
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    this.note('hub', request);
    const url = decodeURIComponent(request.url ?? '');
    const [, name = '', revision = '', file] =
      /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^?]+)/.exec(url) ??
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url) ??
      [];
    const repository = this.repositories.get(name);
    if (!repository) return void response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end();
    const commit = this.commitOf(name);
    if (revision !== 'main' && revision !== commit)
      return void response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
    if (file === undefined) return void response.end(JSON.stringify(this.described(repository, commit)));
    const { gatedBy, files } = repository;
    if (gatedBy !== undefined && request.headers.authorization !== `Bearer ${gatedBy}`)
      return void response.writeHead(401, { 'x-error-code': 'GatedRepo' }).end();
    const content = files[file];
    const head = { 'x-repo-commit': commit };
    if (content === undefined)
      return void response.writeHead(404, { ...head, 'x-error-code': 'EntryNotFound' }).end();
    if (content.length < this.largeFrom) {
      const size = { 'content-length': Buffer.byteLength(content) };
      response.writeHead(200, { ...head, ...size, etag: `"${gitSum(content)}"` });
      response.end(request.method === 'HEAD' ? undefined : content);
      return;
    }
    const location = `http://localhost:${(this.store.address() as AddressInfo).port}/${name}/${file}`;
    const linked = { 'x-linked-etag': `"${sha256(content)}"`, 'x-linked-size': content.length };
    response.writeHead(302, { ...head, ...linked, etag: '"of the redirection"', location }).end();
  }

  private described({ files, license, gatedBy }: HubRepository, sha: string): object {
    const siblings = Object.entries(files).map(([rfilename, { length }]) => ({ rfilename, size: length }));
    return {
      sha,
      gated: gatedBy === undefined ? false : 'manual',
      cardData: license && { license },
      siblings,
    };
  }

  private give(request: IncomingMessage, response: ServerResponse): void {
    this.note('store', request);
    const [, name = '', file = ''] = /^\/([^/]+\/[^/]+)\/(.+)$/.exec(request.url ?? '') ?? [];
    const content = Buffer.from(this.instead ?? this.repositories.get(name)?.files[file] ?? '');
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': content.length - start,
      ...(from !== undefined && {
        'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
      }),
    });
    if (this.hangUpAfter === null) return void response.end(content.subarray(start));
    response.write(content.subarray(start, start + this.hangUpAfter), () =>
      setTimeout(() => response.destroy(), 20),
    );
  }
}

const listening = (server: Server) => new Promise<void>((done) => server.listen(0, done));
const sha256 = (content: Uint8Array | string) => createHash('sha256').update(content).digest('hex');

/** As `git hash-object` has it. */
function gitSum(content: Uint8Array | string): string {
  return createHash('sha1')
    .update(`blob ${Buffer.byteLength(content)}\0`)
    .update(content)
    .digest('hex');
}

/**
 * Sends this process's clients of the hub to a server of the test, with an empty cache of their own.
 *
 * @returns puts back what was set before
 */
export function useHub({ endpoint }: Pick<HubServer, 'endpoint'>, home: string): () => void {
  const ours = { HF_ENDPOINT: endpoint, HF_HOME: home };
  const former = Object.keys(ours).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, ours);
  return () => {
    for (const [name, value] of former)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  };
}
