import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../error.js';
import type { Dataset } from './dataset.js';
import {
  byCodePoint,
  Distribution,
  type DistributionOptions,
  isInside,
  type ListedImage,
  sortedIds,
} from './distribution.js';

const parts = ['train', 'test', 'query', 'gallery'] as const;
type Part = (typeof parts)[number];

/**
 * Images of one's own, listed in a CSV file: `path,label,split[,query|gallery]`, `split` being train or test. Paths are
 * relative to the file's folder; a first line `path,label,split` is a header; cells may be quoted as RFC 4180 has it.
 * With a fourth column, test images are either queries or in the gallery in which queries are looked for.
 *
 * @param options `folder`: the file, or a folder with one `.csv` in it
 * @throws UserError if it cannot work, or an image is missing and `allowPartial` is not set
 */
export async function openCsv(options: DistributionOptions): Promise<Dataset> {
  const file = await findFile(resolve(options.folder));
  const data = new Distribution('csv', '.', `the paths in ${file}`, { ...options, folder: dirname(file) });
  const images = await readImages(file);
  const present = async (part: Part) => await data.present(images[part], basename(file));
  const [train, gallery] = [await present('train'), await present('gallery')];
  const test = [...(await present('test')), ...(await present('query'))];
  if (images.test.length > 0 && images.query.length + images.gallery.length > 0) {
    throw new UserError(`${file}: expected query or gallery in each test line or in none, found both`);
  }
  const inTrain = new Set(train.map(({ id }) => id));
  const shared = [...test, ...gallery].find(({ id }) => inTrain.has(id));
  if (shared !== undefined) {
    throw new UserError(
      `${file}: the class ${JSON.stringify(shared.id)} is in train and in test; retrieval is tested on classes that were not trained on`,
    );
  }
  const searched = sortedIds([...test, ...gallery]);
  return data.checked({
    name: basename(file, '.csv'),
    train: data.split('train', train),
    test: data.split(images.query.length > 0 ? 'query' : 'test', test, searched),
    ...(images.gallery.length > 0 && { gallery: data.split('gallery', gallery, searched) }),
    recallAt: [1, 2, 4, 8],
  });
}

async function findFile(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null)
    throw new UserError(`csv: expected a CSV file or a folder with one, ${path} is not there`);
  if (!found.isDirectory()) return path;
  const files = (await readdir(path)).filter((name) => name.toLowerCase().endsWith('.csv')).sort(byCodePoint);
  if (files.length === 1) return join(path, files[0] as string);
  const listed = files.length === 0 ? 'none' : files.slice(0, 5).join(', ');
  throw new UserError(
    `csv: expected one .csv file in ${path}, found ${listed}; give the file as --dataset-dir`,
  );
}

async function readImages(file: string): Promise<Record<Part, ListedImage<string>[]>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file}: expected a CSV file, but it cannot be read (${error.code})`);
  });
  const images: Record<Part, ListedImage<string>[]> = { train: [], test: [], query: [], gallery: [] };
  const rows = parseCsv(text.replace(/^\uFEFF/, ''), file);
  for (const [index, { cells, line }] of rows.entries()) {
    const [path = '', id = '', split = '', role = '', ...rest] = cells.map((cell) => cell.trim());
    if (index === 0 && path === 'path' && id === 'label' && split === 'split') continue;
    const where = `${file}, line ${line}`;
    const part =
      split === 'test' && role !== '' ? role : split === 'train' || split === 'test' ? split : undefined;
    const known = parts.find((name) => name === part);
    const roleFits = role === '' || (split === 'test' && (role === 'query' || role === 'gallery'));
    if (path === '' || id === '' || known === undefined || !roleFits || rest.length > 0) {
      throw new UserError(
        `${where}: expected path,label,train or path,label,test[,query|gallery], got ${JSON.stringify(cells.join(','))}`,
      );
    }
    if (!isInside(path)) {
      throw new UserError(
        `${where}: expected a path inside ${dirname(file)}, ${JSON.stringify(path)} leads outside`,
      );
    }
    images[known].push({ path: join(dirname(file), path), id });
  }
  return images;
}

/** RFC 4180: cells apart by commas; in a quoted cell commas, line breaks and doubled quotes stand for themselves. */
function parseCsv(text: string, file: string): { cells: string[]; line: number }[] {
  const rows: { cells: string[]; line: number }[] = [];
  const token = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  let cells: string[] = [];
  let [line, start] = [1, 1];
  while (token.lastIndex < text.length) {
    const found = token.exec(text);
    if (!found)
      throw new UserError(`${file}, line ${line}: a quotation mark is out of place or never closed`);
    const [whole, quoted, plain = '', end] = found;
    cells.push(quoted?.replaceAll('""', '"') ?? plain);
    line += whole.split('\n').length - 1;
    const atEnd = token.lastIndex >= text.length;
    if (end === ',' && !atEnd) continue;
    if (end === ',') cells.push('');
    if (cells.some((cell) => cell.trim() !== '')) rows.push({ cells, line: start });
    cells = [];
    start = line;
  }
  return rows;
}
