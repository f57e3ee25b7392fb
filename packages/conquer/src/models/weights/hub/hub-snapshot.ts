import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { cacheError } from '../../../cache-folder.js';
import { download } from '../download.js';
import { isIndex, pretrainedFiles } from '../pretrained-files.js';
import { PublishedFile } from '../published-file.js';
import { shardsOf } from '../stored-weights.js';
import { HubCache } from './hub-cache.js';
import { HubClient, type HubModel, HubRefuses, HubUnreachable } from './hub-client.js';
import { type HubName, hubNameOf } from './hub-name.js';
import { type HubSettings, hubSettings } from './hub-settings.js';

export interface FetchModelOptions {
  /** A branch, a tag or a commit; what stands behind '@' in the name, or 'main', when left out. */
  revision?: string | undefined;
  /** Default: what the environment says. */
  settings?: HubSettings;
  /** Told in a line: the licence and the gate before anything is fetched, and where the cache had to do. */
  onNote?: ((text: string) => void) | undefined;
  /** Asked for each file that is fetched, with what it is; counts bytes. */
  onPreparation?: ((what: string) => (progress: { done: number; total: number }) => void) | undefined;
}

/** A model of the hub on this machine. */
export interface FetchedModel {
  /** Of its files, in the cache. */
  folder: string;
  repository: string;
  commit: string;
}

/**
 * Makes sure that the weights and the configuration of a repository are in the cache of Python's huggingface_hub, and
 * fetches what is not: checked by its sum, resumed where it broke off, once where several processes want it.
 *
 * @param name `owner/name`, perhaps with `@revision`
 * @throws UserError where the name cannot be, the hub has no such model or does not give it, it cannot be reached and the
 *   cache has not all of it
 */
export async function fetchModel(name: string, options: FetchModelOptions = {}): Promise<FetchedModel> {
  const named = hubNameOf(options.revision === undefined ? name : `${name}@${options.revision}`);
  const { settings = hubSettings(), onNote } = options;
  const cache = new HubCache(settings.cache, named);
  // A commit never changes: what is there of it needs nobody's word.
  const known = cachedModel(cache, named);
  if (known !== null && (settings.offline || known.commit === named.revision)) return known;
  if (settings.offline)
    throw new UserError(
      `${named.repository} is not in ${settings.cache}${missingWhat(named)}, and HF_HUB_OFFLINE forbids to fetch it`,
    );
  const client = new HubClient(settings, named);
  let model: HubModel;
  try {
    model = await client.model();
  } catch (error) {
    if (known === null || !(error instanceof HubUnreachable || error instanceof HubRefuses)) throw error;
    onNote?.(`${error.message}; took what is in ${settings.cache}`);
    return known;
  }
  try {
    return await new Fetching({ ...options, named, cache, client, model }).all();
  } catch (error) {
    throw cacheError(`${named.repository}`, settings.cache, error);
  }
}

const missingWhat = ({ revision }: HubName) => (revision === 'main' ? '' : ` as of '${revision}'`);

/** What of a model is in the cache; null where it is not all that is needed. */
function cachedModel(cache: HubCache, { repository, revision }: HubName): FetchedModel | null {
  const commit = cache.commitOf(revision);
  if (commit === null) return null;
  const folder = cache.snapshot(commit);
  try {
    const { weights } = pretrainedFiles(cache.filesOf(commit), folder);
    const parts = isIndex(weights) ? shardsOf(join(folder, weights)) : [];
    return parts.every((part) => cache.has(commit, part)) ? { folder, repository, commit } : null;
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

interface FetchingParts extends FetchModelOptions {
  named: HubName;
  cache: HubCache;
  client: HubClient;
  model: HubModel;
}

/** One model on its way into the cache. */
class Fetching {
  private told = false;

  constructor(private readonly parts: FetchingParts) {}

  async all(): Promise<FetchedModel> {
    const { named, cache, model } = this.parts;
    const { repository } = named;
    const { configs, weights } = pretrainedFiles(model.files.keys(), repository);
    for (const config of configs) await this.one(config);
    await this.one(weights);
    const folder = cache.snapshot(model.commit);
    if (isIndex(weights)) for (const shard of shardsOf(join(folder, weights))) await this.one(shard);
    cache.setCommit(named.revision, model.commit);
    return { folder, repository, commit: model.commit };
  }

  private async one(file: string): Promise<void> {
    const { cache, client, model, named, onPreparation } = this.parts;
    if (cache.has(model.commit, file)) return;
    const { etag, bytes } = await client.file(model.commit, file);
    this.tell();
    await cache.alone(etag, async () => {
      if (cache.has(model.commit, file)) return;
      const published = new PublishedFile(bytes === null ? null : { bytes }, sumOf(etag));
      await download({
        url: client.urlOf(model.commit, file),
        file: cache.blob(etag),
        part: cache.part(etag),
        published,
        headers: client.headers,
        otherwise: `fetch ${named.repository} by other means and name the folder`,
        ...(onPreparation &&
          isLarge(bytes) && {
            onProgress: onPreparation(`fetching ${named.repository} ${file}, once, in bytes`),
          }),
      });
      cache.link(model.commit, file, etag);
    });
  }

  /** Before the first byte is fetched. */
  private tell(): void {
    if (this.told) return;
    this.told = true;
    const { named, model, onNote } = this.parts;
    const license = model.license === null ? 'no licence is stated' : `licence ${model.license}`;
    const gate = model.gated ? ', gated: its terms were to be accepted on its page' : ', not gated';
    onNote?.(`${named.repository}: ${license}${gate}`);
  }
}

/** Whether there is time to look at a bar. */
const isLarge = (bytes: number | null) => bytes === null || bytes > 2 ** 20;

function sumOf(etag: string): PublishedFile['sum'] {
  if (/^[0-9a-f]{64}$/.test(etag)) return { kind: 'SHA-256', digits: etag };
  return /^[0-9a-f]{40}$/.test(etag) ? { kind: 'Git', digits: etag } : null;
}
