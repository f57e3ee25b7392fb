import type { ArchiveNames } from './archive-folder.js';
import type { Dataset, Split } from './dataset.js';
import {
  Distribution,
  type DistributionOptions,
  type ListedImage,
  sortedIds,
  wholeNumber,
} from './distribution.js';

/** An image of a re-identification data set: who is on it, and which camera took it. */
export interface SeenImage extends ListedImage<number> {
  camera: number;
}

/** What is no image though it lies among them. */
const NO_IMAGE = /^(thumbs\.db|desktop\.ini)$/i;

/**
 * The images in a folder whose names begin with who is on them and the camera: `0002_c1s1_000451_03.jpg`. Of `-1` nobody knows who
 * it is: left out, as the protocol has it.
 *
 * @throws UserError for a name that says no camera
 */
export async function imagesByName(data: Distribution, folder: string): Promise<SeenImage[]> {
  const images: SeenImage[] = [];
  for (const { name } of await data.list(folder)) {
    if (NO_IMAGE.test(name)) continue;
    const [, who, camera] = /^(-1|\d{1,15})_c(\d{1,9})\D.*\.(?:jpe?g|png)$/i.exec(name) ?? [];
    if (who === undefined || camera === undefined)
      throw data.error(
        `expected names such as 0002_c1s1_000451_03.jpg in ${folder}, got ${JSON.stringify(name)}`,
      );
    if (who === '-1') continue;
    images.push({ path: data.resolve(`${folder}/${name}`, folder), id: Number(who), camera: Number(camera) });
  }
  return images;
}

/**
 * The images of a list with lines `path number`, in names of which the third part is the camera:
 * `0000/0000_000_01_0303morning_0015_0.jpg 0`.
 *
 * @throws UserError for a line that is none
 */
export async function imagesByList(data: Distribution, file: string, folder: string): Promise<SeenImage[]> {
  return (await data.lines(file)).map(({ text, line }) => {
    const where = `${file}, line ${line},`;
    const [path, who, ...rest] = text.split(/\s+/);
    const id = wholeNumber(who);
    const camera = wholeNumber(path?.split('/').at(-1)?.split('_')[2]);
    if (path === undefined || Number.isNaN(id) || Number.isNaN(camera) || rest.length > 0)
      throw data.error(
        `${where} expected "path number", in whose name the third part is the camera (0000_000_01_….jpg), got ${JSON.stringify(text)}`,
      );
    data.resolve(path, where);
    return { path: data.resolve(`${folder}/${path}`, where), id, camera };
  });
}

/** A split of images, with their cameras. @param classes of queries and gallery together */
export function seenSplit(
  data: Distribution,
  name: string,
  images: readonly SeenImage[],
  classes: readonly number[] = sortedIds(images),
): Split {
  return {
    ...data.split(name, images, classes, (id) => String(id).padStart(4, '0')),
    cameras: Int32Array.from(images, ({ camera }) => camera),
  };
}

/** A data set of re-identification whose images lie in three folders, with names that say all. */
export interface NamedArchive {
  name: string;
  names: ArchiveNames;
  /** Where to get the data. */
  page: string;
  folders: readonly [train: string, query: string, gallery: string];
  recallAt: readonly number[];
  /** What was published of its sizes; what differs in copies is only said. */
  check(
    data: Distribution,
    found: { train: readonly SeenImage[]; query: readonly SeenImage[]; gallery: readonly SeenImage[] },
  ): void;
}

/** Opens one. Junk is left out; queries are looked for by the camera-aware protocol. */
export async function openNamedArchive(
  archive: NamedArchive,
  options: DistributionOptions,
): Promise<Dataset> {
  const { name, names, page, folders, recallAt, check } = archive;
  const data = await Distribution.open(name, names, page, options, folders);
  const [train, query, gallery] = [
    await imagesByName(data, folders[0]),
    await imagesByName(data, folders[1]),
    await imagesByName(data, folders[2]),
  ];
  check(data, { train, query, gallery });
  const classes = sortedIds([...query, ...gallery]);
  return data.checked({
    name,
    train: seenSplit(data, 'train', train),
    test: seenSplit(data, 'query', query, classes),
    gallery: seenSplit(data, 'gallery', gallery, classes),
    recallAt,
  });
}
