/** How pixels become numbers: (scale × pixel / 255 − mean) / std of each channel. */
export interface PixelFormat {
  /** Order of the channels, of `mean` and `std` too. */
  channels: 'RGB' | 'BGR';
  /** Value of a white pixel before the mean is subtracted. */
  scale: number;
  /** Of each channel, for values in 0…`scale`. */
  mean: readonly number[];
  /** Of each channel, for values in 0…`scale`. */
  std: readonly number[];
  /** How images are brought to size. */
  interpolation: 'bilinear' | 'bicubic';
}

/**
 * What a network is given of an image that nothing is drawn for: in evaluation and divisions, in an index, as a query. The
 * model has it, and there is no other definition: embeddings of other pixels are other embeddings.
 */
export interface Preprocessing {
  /** Side of what the network sees, in pixels. */
  size: number;
  /** Short side before the centre is cut out, in pixels. */
  resize: number;
  /** Whether the image is brought to a square of that side before, whatever its sides; left out: it is not. */
  squash?: boolean | undefined;
  /**
   * That the whole image is resized before its centre is cut out, and where half a pixel at the border goes: to the even one, as
   * timm and torchvision do it, or out, as transformers does. Left out: 'even' for bicubic, and bilinear has the centre cut out first.
   */
  centre?: 'even' | 'down' | undefined;
  /**
   * How images are reduced, to 8 bits, before any part of them is read, as a cache of decoded images holds them; null:
   * parts are cut out of what the files hold. It is the same whether there is a cache or not.
   */
  reduction: {
    size: number;
    square?: boolean | undefined;
    /** By which the whole image is resized, where evaluation resizes it too: it then sees the same pixels as without a reduction. */
    filter?: PixelFormat['interpolation'] | undefined;
    squash?: boolean | undefined;
  } | null;
  /** What the pixels are made. */
  input: PixelFormat;
}

/**
 * Whether evaluation resizes the whole image and cuts its centre out of that, as the networks of timm and transformers were
 * measured; torchvision's keep the order in which they have always been measured here: cut out, then resized.
 */
export function resizesWhole({
  input,
  squash = false,
  centre,
}: Pick<Preprocessing, 'squash' | 'centre'> & { input: Pick<PixelFormat, 'interpolation'> }): boolean {
  return input.interpolation === 'bicubic' || squash || centre !== undefined;
}

/** What an index says of it: earlier versions did not write down what the pixels were made. */
export type IndexedPreprocessing = Omit<Preprocessing, 'input'> & { input?: PixelFormat };

/**
 * Whether an index's images were given to the network as this says.
 *
 * @param indexed null: not known; the index is of a version that gave what files hold, without any reduction, or of an
 *   embedder of one's own
 * @param now null: an embedder of one's own, whose identity says it
 */
export function isSeenAlike(indexed: IndexedPreprocessing | null, now: Preprocessing | null): boolean {
  if (now === null) return true;
  if (indexed === null) return now.reduction === null;
  const way = ({ reduction }: IndexedPreprocessing) =>
    `${reduction?.square ?? false} ${reduction?.filter ?? ''} ${reduction?.squash ?? false}`;
  return (
    indexed.size === now.size &&
    indexed.resize === now.resize &&
    (indexed.squash ?? false) === (now.squash ?? false) &&
    (indexed.centre ?? 'even') === (now.centre ?? 'even') &&
    indexed.reduction?.size === now.reduction?.size &&
    way(indexed) === way(now) &&
    (indexed.input === undefined || isSameFormat(indexed.input, now.input))
  );
}

function isSameFormat(a: PixelFormat, b: PixelFormat): boolean {
  const numbers = ({ scale, mean, std }: PixelFormat) => [scale, ...mean, ...std];
  return (
    a.channels === b.channels &&
    a.interpolation === b.interpolation &&
    numbers(a).join() === numbers(b).join()
  );
}
