import type { ImageError, ImageInput } from '@conquer-dml/image';
import { type Preprocessing, UserError } from '@conquer-dml/run';
import { type ProcessGroup, scope, tensor } from '@conquer-dml/torch';
import { arrived, type CarriedError, carried } from '../carried-error.js';
import { BATCH } from '../data/plain-batches.js';
import type { Embedder, EmbedRequest } from './embedder.js';

/** What rank 0 asks of the others. */
interface Asked {
  embedder: string;
  images: readonly string[];
  batchSize: number;
  /** Whether images that cannot be read are left out. */
  leavesOut: boolean;
}

/** That nothing more is asked. */
interface Ended {
  hasFailed: boolean;
}

interface Embedded {
  /** Of all images that could be read. */
  rows: Float32Array;
  bad: { place: number; error: CarriedError }[];
  /** Of the first image that ended it. */
  failure: CarriedError | null;
}

/**
 * An embedder that several processes are: rank 0 has it, the others `embedForFirst`. Each embeds its share of the images, in the same
 * batches as one process, so that the rows are the same.
 */
export class GroupEmbedder implements Embedder {
  /** @param own of rank 0; it stays the caller's */
  constructor(
    private readonly own: Embedder,
    private readonly group: ProcessGroup,
  ) {}

  get id(): string {
    return this.own.id;
  }

  get dim(): number {
    return this.own.dim;
  }

  get view(): Preprocessing | null {
    return this.own.view;
  }

  get source(): string | null {
    return this.own.source ?? null;
  }

  get checkpoint(): 'best' | 'last' | null {
    return this.own.checkpoint ?? null;
  }

  /** @param images paths that all processes can read @throws ProcessGroupError where another process is lost, or has failed */
  async embed(images: readonly ImageInput[], request: EmbedRequest = {}): Promise<Float32Array> {
    const paths = images.filter((image) => typeof image === 'string');
    if (paths.length < images.length)
      throw new TypeError('expected paths of images, which other processes can read too, got other images');
    const { batchSize = BATCH, onBad } = request;
    const asked = { embedder: this.id, images: paths, batchSize, leavesOut: onBad !== undefined };
    const { rows, bad, failure } = await embedShare(
      this.own,
      this.group,
      this.group.broadcastObject(() => asked),
      request,
    );
    if (failure) throw arrived(failure);
    for (const { place, error } of bad) onBad?.(arrived(error) as ImageError, place);
    return rows;
  }

  /** Its network is the caller's. */
  close(): void {}
}

/** Lets the processes go that `embedForFirst`, from rank 0. @param hasFailed whether they are to end as having failed */
export function endEmbedding(group: ProcessGroup, hasFailed: boolean): void {
  group.broadcastObject<Ended>(() => ({ hasFailed }));
}

/**
 * Embeds what rank 0 asks for, until it asks no more.
 *
 * @param own of this process, of the same model
 * @returns whether it failed there, and rank 0 says why
 * @throws UserError where the models differ; ProcessGroupError where another process is lost
 */
export async function embedForFirst(
  group: ProcessGroup,
  own: Embedder,
  request: Pick<EmbedRequest, 'threads'>,
): Promise<Ended> {
  for (;;) {
    const asked = group.broadcastObject<Asked | Ended>(() => ({ hasFailed: true }));
    if ('hasFailed' in asked) return asked;
    if (asked.embedder !== own.id)
      throw new UserError('the model is another than at rank 0: expected the same files on all machines');
    await embedShare(own, group, asked, request);
  }
}

async function embedShare(
  own: Embedder,
  group: ProcessGroup,
  { images, batchSize, leavesOut }: Asked,
  { threads, signal, onProgress }: EmbedRequest,
): Promise<Embedded> {
  const batches = group.share(Math.ceil(images.length / batchSize));
  const from = batches.from * batchSize;
  const paths = images.slice(from, from + batches.count * batchSize);
  const bad: Embedded['bad'] = [];
  let failure: CarriedError | null = null;
  let made = new Float32Array(0);
  try {
    if (paths.length > 0)
      made = (await own.embed(paths, {
        batchSize,
        threads,
        signal,
        onProgress: (done) => onProgress?.(Math.min(done * group.size, images.length)),
        ...(leavesOut && {
          onBad: (error: ImageError, place: number) =>
            void bad.push({ place: from + place, error: carried(error) }),
        }),
      })) as Float32Array<ArrayBuffer>;
  } catch (error) {
    failure = carried(error);
  }
  const all = group.gatherObjects({ bad, failure });
  const first = all.find((rank) => rank.failure !== null);
  if (first) return { rows: new Float32Array(0), bad: [], failure: first.failure };
  const rows = scope(
    () =>
      group
        .allGather(tensor(made, { shape: [made.length / own.dim, own.dim] }))
        .toTypedArray() as Float32Array,
  );
  return { rows, bad: all.flatMap((rank) => rank.bad), failure: null };
}
