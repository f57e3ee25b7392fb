import { existsSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { ImageInput } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import { testTimeOf } from '../models/test-time.js';
import { type AnyIndex, openAnyIndex } from './any-index.js';
import { type Classified, type ClassifyOptions, classify } from './classify.js';
import type { Embedder } from './embedder.js';
import type { IndexSearchOptions, OpenIndexOptions } from './index-options.js';
import type { Match } from './match.js';
import { calibrationOfModel } from './model-calibration.js';
import { type OpenModelOptions, openModel } from './open-model.js';

export interface OpenSearchOptions extends OpenIndexOptions, Omit<OpenModelOptions, 'checkpoint'> {
  /** What embeds the queries: the index's own model where it was when this is left out; a path or name where it is now; or an embedder, which stays the caller's. */
  model?: string | Embedder | undefined;
}

export interface ImageSearchOptions extends Omit<IndexSearchOptions, 'embedder'> {
  /** Matches of each image; default 10. */
  k?: number;
}

/** An index with what embeds queries for it: images in, matches out. */
export class ImageSearch {
  /** @param owned whether close() closes the embedder too */
  constructor(
    readonly index: AnyIndex,
    readonly embedder: Embedder,
    private readonly owned: boolean,
  ) {}

  /**
   * The items that are most like an image, nearest first, see `ImageIndex.search`.
   * @param image a path, the bytes of an image file, or pixels
   * @throws ImageError where it cannot be read
   */
  async search(image: ImageInput, options: ImageSearchOptions = {}): Promise<Match[]> {
    const [matches = []] = await this.searchAll([image], options);
    return matches;
  }

  /** The same of several images, which is faster than one by one. */
  async searchAll(
    images: readonly ImageInput[],
    { k = 10, ...options }: ImageSearchOptions = {},
  ): Promise<Match[][]> {
    return this.index.search(await this.embedder.embed(images), k, options);
  }

  /** The class of an image by its neighbours' vote. */
  async classify(image: ImageInput, options: Omit<ClassifyOptions, 'embedder'> = {}): Promise<Classified> {
    return (await classify(this.index, await this.embedder.embed([image]), options))[0]!;
  }

  /** Frees index and model. */
  close(): void {
    void this.index.dispose();
    if (this.owned) void this.embedder.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens an index together with the model that made it.
 *
 * @param path what conquer index wrote, or `ImageIndex.save`; of one in a store what `--store` named, as `lancedb:DIR`
 * @returns it belongs to the caller, who closes it
 * @throws UserError where there is no index, its model is not there, or another one is given
 */
export async function openIndex(path: string, options: OpenSearchOptions = {}): Promise<ImageSearch> {
  const { model: given, folder, ...rest } = options;
  const index = await openAnyIndex(path, { folder });
  try {
    const { origin } = index;
    if (origin === null || (origin.source === null && given === undefined))
      throw new UserError(
        `${path} is of rows that no run made: it is searched from a program, by rows of the same kind`,
      );
    const from = given ?? origin.source!;
    if (typeof from !== 'string') {
      index.requireEmbedder(from);
      index.calibration ??= calibrationOfModel(from);
      return new ImageSearch(index, from, false);
    }
    if (given === undefined && isAbsolute(from) && !existsSync(from))
      throw new UserError(
        `${path} was made with the run ${from}, which is no longer there: say where it is now`,
      );
    // A file of weights is what it is: whether it is the index's, its id says.
    const checkpoint = statSync(from, { throwIfNoEntry: false })?.isFile() ? null : origin.checkpoint;
    const plain = await openModel(from, { ...rest, ...(checkpoint && { checkpoint }) });
    // An index of flips, crops or a prefix says so in whose rows they are.
    const model = plain.atTestTime(testTimeOf(origin.embedder));
    try {
      index.requireEmbedder(model);
      index.calibration ??= calibrationOfModel(model);
    } catch (error) {
      model.close();
      throw error;
    }
    return new ImageSearch(index, model, true);
  } catch (error) {
    await index.dispose();
    throw error;
  }
}
