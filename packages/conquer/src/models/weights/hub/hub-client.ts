import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { reasonOf } from '../download.js';
import { COMMIT } from './hub-cache.js';
import type { HubName } from './hub-name.js';
import type { HubSettings } from './hub-settings.js';

/** What the hub says of a repository, before anything of it is fetched. */
export interface HubModel {
  commit: string;
  /** As the hub abbreviates it, e.g. `apache-2.0`; null where nothing is said. */
  license: string | null;
  /** Whether its licence has to be accepted on its page first. */
  gated: boolean;
  /** The names of its files, and their bytes where the hub says them. */
  files: ReadonlyMap<string, number | null>;
}

/** What the hub says of a file. */
export interface HubFile {
  /** Of what the file holds: its SHA-256 sum where it is large, else the SHA-1 by which Git names it. */
  etag: string;
  bytes: number | null;
}

/** The hub did not answer, or not now: what is in the cache may do. */
export class HubUnreachable extends UserError {}

/** The hub says no; without an account, or with another one, that is. */
export class HubRefuses extends UserError {}

/** Milliseconds until the hub must have begun to answer; as in Python. */
const TIMEOUT = 10_000;
const REDIRECTIONS = 5;

const modelSchema = z.object({
  sha: z.string().regex(COMMIT),
  gated: z.union([z.boolean(), z.string()]).nullish(),
  cardData: z
    .object({
      license: z.union([z.string(), z.array(z.string())]).nullish(),
      license_name: z.string().nullish(),
    })
    .nullish(),
  tags: z.array(z.string()).nullish(),
  siblings: z.array(z.object({ rfilename: z.string(), size: z.number().nullish() })),
});

/** Asks a hub. No message holds the token. */
export class HubClient {
  constructor(
    private readonly settings: HubSettings,
    private readonly name: HubName,
  ) {}

  /** What goes with every request. fetch() takes the token off where the hub sends on to another host. */
  get headers(): Record<string, string> {
    const { token } = this.settings;
    return { 'user-agent': 'conquer', ...(token !== null && { authorization: `Bearer ${token}` }) };
  }

  /** Where a file of a commit is. */
  urlOf(commit: string, file: string): string {
    return `${this.settings.endpoint}/${this.name.repository}/resolve/${commit}/${inUrl(file)}`;
  }

  /** @throws HubUnreachable, HubRefuses; UserError where there is no such repository or revision */
  async model(): Promise<HubModel> {
    const { repository, revision } = this.name;
    const url = `${this.settings.endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
    const response = await this.ask(url, { method: 'GET' });
    let answer: z.infer<typeof modelSchema>;
    try {
      answer = modelSchema.parse(await response.json());
    } catch {
      throw new HubUnreachable(
        `${url}: expected what a Hugging Face hub says of a model, got something else`,
      );
    }
    return {
      commit: answer.sha,
      license: licenseOf(answer),
      gated: typeof answer.gated === 'string' || answer.gated === true,
      files: new Map(answer.siblings.map(({ rfilename, size }) => [rfilename, size ?? null])),
    };
  }

  /** @throws HubUnreachable, HubRefuses; UserError where there is no such file */
  async file(commit: string, file: string): Promise<HubFile> {
    const url = this.urlOf(commit, file);
    const { headers, status } = await this.ask(url, { method: 'HEAD' });
    const isElsewhere = status >= 300;
    const etag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '')
      .replace(/^W\//, '')
      .replaceAll('"', '');
    const bytes = headers.get('x-linked-size') ?? (isElsewhere ? null : headers.get('content-length'));
    // It becomes a file's name.
    if (!/^[\w-]+(\.[\w-]+)*$/.test(etag))
      throw new HubUnreachable(`${url}: expected an ETag, as a Hugging Face hub sends it, got '${etag}'`);
    return { etag, bytes: bytes === null ? null : Number(bytes) };
  }

  /** The answer, of a GET after all redirections, of a HEAD before the one to another host. */
  private async ask(url: string, { method }: { method: 'GET' | 'HEAD' }): Promise<Response> {
    let at = new URL(url);
    for (let turn = 0; turn <= REDIRECTIONS; turn++) {
      const response = await this.answer(at, method);
      const location = response.headers.get('location');
      if (response.status >= 400) throw await this.refusal(url, response);
      if (response.status < 300 || location === null) return response;
      const next = new URL(location, at);
      if (next.host !== at.host) return response;
      at = next;
    }
    throw new HubUnreachable(`${url}: the hub sends on and on`);
  }

  private async answer(url: URL, method: string): Promise<Response> {
    try {
      const signal = AbortSignal.timeout(TIMEOUT);
      return await fetch(url, {
        method,
        headers: { ...this.headers, 'accept-encoding': 'identity' },
        redirect: 'manual',
        signal,
      });
    } catch (error) {
      throw new HubUnreachable(`${this.settings.endpoint} cannot be reached: ${reasonOf(error)}`);
    }
  }

  private async refusal(url: string, { status, statusText, headers, body }: Response): Promise<UserError> {
    await body?.cancel();
    const { repository, revision } = this.name;
    const { endpoint, token } = this.settings;
    const says = `the server answers ${status} ${statusText}`.trimEnd();
    const code = headers.get('x-error-code');
    const page = `${endpoint}/${repository}`;
    if (code === 'GatedRepo' || status === 403) {
      const then = token === null ? 'then set HF_TOKEN' : 'with the account that HF_TOKEN is of';
      return new HubRefuses(`${repository} is gated: accept its licence at ${page}, ${then} (${says})`);
    }
    if (code === 'RevisionNotFound')
      return new UserError(`${repository} has no revision '${revision}' (${says}): see ${page}`);
    if (code === 'EntryNotFound') return new UserError(`${url}: there is no such file (${says})`);
    if (status === 401 || code === 'RepoNotFound' || status === 404) {
      const who =
        token === null ? ' (or it is private: set HF_TOKEN)' : " (or HF_TOKEN's account may not see it)";
      return new HubRefuses(`${repository}: there is no such model at ${endpoint}${who} (${says})`);
    }
    return new HubUnreachable(`${url}: ${says}; try again later`);
  }
}

/** Slashes stay. */
const inUrl = (file: string) => file.split('/').map(encodeURIComponent).join('/');

function licenseOf({ cardData, tags }: z.infer<typeof modelSchema>): string | null {
  const { license, license_name: ownName } = cardData ?? {};
  const said = Array.isArray(license) ? license.join(', ') : license;
  if (said === 'other' && ownName) return ownName;
  return said ?? tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null;
}
