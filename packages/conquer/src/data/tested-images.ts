import { existsSync } from 'node:fs';
import { decodeImages, ImageError } from '@conquer-dml/image';
import {
  DamagedFile,
  fileOfImage,
  type ImageList,
  type RunFolder,
  readEmbeddings,
  UserError,
  withoutStandIns,
} from '@conquer-dml/run';

/** What a run's embeddings.safetensors and test-images.json say together, of the images that could be read. */
export interface TestedImages {
  /** The epoch that embedded them, counted from 0. */
  epoch: number;
  /** (N, D) */
  embeddings: Float32Array;
  dim: number;
  /** (N, depth) rows of what is searched, nearest first. */
  neighbours: Int32Array;
  depth: number;
  /** The files of the rows. */
  queries: ImageList;
  /** null: the queries are searched among themselves. */
  gallery: ImageList | null;
}

/**
 * @param isReadable of an older file, asked of images in whose place another may stand; default: decodes them
 * @throws UserError when a file is missing or damaged, or they do not fit each other
 */
export async function readTestedImages(
  run: RunFolder,
  isReadable: (path: string) => Promise<boolean> = canBeDecoded,
): Promise<TestedImages> {
  let read: Awaited<ReturnType<typeof readEmbeddings>>;
  try {
    read = await readEmbeddings(run);
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    throw new UserError(`${run.embeddingsFile} cannot be used: ${error.message}`);
  }
  if (read === null) throw new UserError(`${run.embeddingsFile} is not there`);
  const images = run.testImages();
  if (read.queries.images === null || (images.gallery === null) !== (read.gallery === null))
    throw new UserError(`${run.testImagesFile} lists other images than ${run.embeddingsFile} is of`);
  const mayBeBad = run.settings()['data.onBadImage'] === 'skip';
  const { queries, gallery, neighbours, dim } = await withoutStandIns(read, mayBeBad ? isReadable : null);
  return {
    epoch: read.epoch,
    embeddings: queries.vectors,
    dim,
    neighbours: neighbours.neighbours,
    depth: neighbours.depth,
    queries: queries.images as ImageList,
    gallery: gallery?.images ?? null,
  };
}

/** One that is not there is not known to be bad. */
async function canBeDecoded(path: string): Promise<boolean> {
  if (!existsSync(fileOfImage(path))) return true;
  const size = { width: 8, height: 8 };
  try {
    await decodeImages([{ image: path, size, fit: 'cover' }], new Uint8Array(8 * 8 * 3));
    return true;
  } catch (error) {
    if (error instanceof ImageError) return false;
    throw error;
  }
}
