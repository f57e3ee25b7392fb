import type { Preprocessing } from '@conquer-dml/run';
import { F, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import type { EmbeddingNetwork, EmbedOptions } from './embedding-network.js';

/** What is done to images and embeddings when a trained network is used, beside what it was trained with. */
export const testTimeOptions = z.strictObject({
  flips: z.boolean().default(false).describe('the mean of an image and its mirror image, at length 1'),
  crops: z
    .union([z.literal(1), z.literal(5)])
    .default(1)
    .describe('5: the mean of the centre and the four corners, at length 1'),
  prefix: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe('keep the first so many dimensions, at length 1; null: all'),
});

export type TestTimeOptions = z.output<typeof testTimeOptions>;

/** By how much the network's square is smaller than what corners are cut from, where its own view leaves no room. */
const SHARE = 0.875;

/**
 * A network that looks at an image several times, or whose embedding is cut. It has no weights of its own: disposing it
 * frees the network's.
 */
export class TestTimeNetwork extends nn.Module implements EmbeddingNetwork {
  readonly view: Preprocessing;
  readonly embeddingDim: number;
  readonly featureSize: number;
  readonly #size: number;

  /** @throws RangeError for a prefix of more dimensions than there are */
  constructor(
    readonly network: EmbeddingNetwork,
    private readonly options: TestTimeOptions,
  ) {
    super();
    const { view, embeddingDim, featureSize } = network;
    if (options.prefix !== null && options.prefix > embeddingDim)
      throw new RangeError(`expected a prefix of 1 to ${embeddingDim} dimensions, got ${options.prefix}`);
    this.#size = view.size;
    // Corners of all that is there of the short side; of a little more where the centre is all of it.
    const room = Math.max(view.resize, Math.ceil(view.size / SHARE));
    this.view = options.crops === 1 ? view : { ...view, size: room, resize: room };
    this.embeddingDim = options.prefix ?? embeddingDim;
    this.featureSize = featureSize;
    // Whoever evaluates it puts it back into the mode that it was in.
    this.training = network.training;
  }

  embed(images: Tensor, options?: EmbedOptions): Tensor {
    const { prefix } = this.options;
    return scope(() => {
      const rows = this.#mean(images, (view) => this.network.embed(view, options));
      return prefix === null ? rows : F.normalize(rows.narrow(1, 0, prefix));
    });
  }

  /** The mean of the views, of no length: that of a model which tells lengths apart. */
  embedUnscaled(images: Tensor, options?: EmbedOptions): Tensor {
    const { network } = this;
    const { prefix } = this.options;
    return scope(() => {
      const views = this.#views(images).map(
        (view) => network.embedUnscaled?.(view, options) ?? network.embed(view, options),
      );
      const rows = views.reduce((sum, row) => sum.add(row)).div(views.length);
      return prefix === null ? rows : rows.narrow(1, 0, prefix).contiguous();
    });
  }

  features(images: Tensor): Tensor {
    return scope(() => this.#mean(images, (view) => this.network.features(view)));
  }

  #mean(images: Tensor, rowsOf: (view: Tensor) => Tensor): Tensor {
    const rows = this.#views(images).map(rowsOf);
    return rows.length === 1 ? rows[0]! : F.normalize(rows.reduce((sum, row) => sum.add(row)));
  }

  #views(images: Tensor): Tensor[] {
    const { crops, flips } = this.options;
    const cut = crops === 1 ? [images] : this.#cut(images);
    return flips ? [...cut, ...cut.map((view) => view.flip([3]))] : cut;
  }

  /** The centre and the corners. */
  #cut(images: Tensor): Tensor[] {
    const room = images.size(2) - this.#size;
    const middle = Math.floor(room / 2);
    const places = [
      [middle, middle],
      [0, 0],
      [0, room],
      [room, 0],
      [room, room],
    ] as const;
    return places.map(([top, left]) =>
      images.narrow(2, top, this.#size).narrow(3, left, this.#size).contiguous(),
    );
  }
}

/** The network as it is to be used: itself where nothing is to be done to it. */
export function atTestTime(network: EmbeddingNetwork, options: Partial<TestTimeOptions>): EmbeddingNetwork {
  const { flips, crops, prefix } = testTimeOptions.parse(options);
  const isPlain = !flips && crops === 1 && prefix === null;
  return isPlain ? network : new TestTimeNetwork(network, { flips, crops, prefix });
}

/** What is behind the identity of a model's weights where it is used in another way, so that its rows are told apart. */
const MARK = '#';

/** The identity of a model that is used this way: that of its weights where nothing is done to it. */
export function testTimeId(id: string, options: Partial<TestTimeOptions>): string {
  const { flips, crops, prefix } = testTimeOptions.parse(options);
  const words = [
    ...(flips ? ['flips'] : []),
    ...(crops > 1 ? [`crops=${crops}`] : []),
    ...(prefix === null ? [] : [`prefix=${prefix}`]),
  ];
  return words.length === 0 ? id : `${id}${MARK}${words.join(',')}`;
}

/** How a model was used, by an identity that `testTimeId` gave; nothing for any other. */
export function testTimeOf(id: string): Partial<TestTimeOptions> {
  const [, words] = /^[0-9a-f]{64}#(.+)$/.exec(id) ?? [];
  const given = (words ?? '').split(',').map((word) => word.split('='));
  const value = (name: string) => given.find(([word]) => word === name)?.[1];
  const parsed = testTimeOptions.safeParse({
    flips: given.some(([word]) => word === 'flips'),
    ...(value('crops') !== undefined && { crops: Number(value('crops')) }),
    ...(value('prefix') !== undefined && { prefix: Number(value('prefix')) }),
  });
  return parsed.success ? parsed.data : {};
}
