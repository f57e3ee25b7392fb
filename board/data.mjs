// The data sets of the board: public, without signing. Each is a folder of images, a subfolder for each class, and CSV files of a seed's classes:
// `SEED.csv` trains on half of the classes and tests on the others, `SEED-search.csv` has of the training classes a quarter to test on.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { openEmoji } from '../packages/conquer/dist/index.js';
import { Random } from '../packages/conquer/dist/random.js';
import { BOARD, PYTHON } from './places.mjs';

const DATA = join(BOARD, 'data');
const DOWNLOADS = join(BOARD, 'downloads');
const execute = (command, args) => execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });

/** A repository, in the downloads; one that was put there in another way is taken as it is. */
function cloned(url) {
  const folder = join(DOWNLOADS, basename(url));
  if (!existsSync(folder)) execute('git', ['clone', '--quiet', '--depth', '1', url, folder]);
  return folder;
}

/** Image files below a folder. */
const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(jpe?g|png)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

async function emoji(classes = Number.POSITIVE_INFINITY) {
  const { train, test } = await openEmoji();
  return [train, test].flatMap(({ paths, labels, classNames }) =>
    paths.flatMap((path, at) => (labels[at] < classes ? [{ path, label: classNames[labels[at]] }] : [])),
  );
}

/** By name: what it is, where it comes from, and its images. */
export const sets = {
  emoji: {
    what: 'emoji, drawn by nine icon sets',
    from: 'npm: the packages of @conquer-dml/emoji',
    images: () => emoji(),
  },
  groceries: {
    what: 'photographs of 81 products in shops, such as sorts of apples and of milk (fine-grained, in bursts)',
    from: 'https://github.com/marcusklasson/GroceryStoreDataset',
    images: () => {
      const folder = join(cloned('https://github.com/marcusklasson/GroceryStoreDataset'), 'dataset');
      return ['train', 'val', 'test'].flatMap((part) =>
        filesIn(join(folder, part)).map((path) => ({ path, label: basename(dirname(path)) })),
      );
    },
  },
  omniglot: {
    what: 'handwritten characters of ten alphabets, 20 drawings each (many classes of few images)',
    from: 'https://github.com/brendenlake/omniglot, images_background_small1 and 2',
    images: () => {
      const folder = join(cloned('https://github.com/brendenlake/omniglot'), 'python');
      const images = new Map();
      for (const part of ['images_background_small1', 'images_background_small2']) {
        const into = join(DOWNLOADS, 'omniglot-images', part);
        if (!existsSync(into))
          execute(PYTHON, ['-m', 'zipfile', '-e', join(folder, `${part}.zip`), dirname(into)]);
        for (const path of filesIn(into)) images.set(relative(into, path), path);
      }
      return [...images].map(([name, path]) => ({ path, label: dirname(name) }));
    },
  },
  stamps: {
    what: 'a few photographs each of things as different as birds and tools, classed by a folder',
    from: 'Debian: apt-get download tuxpaint-stamps-default',
    images: () => {
      const folder = join(DOWNLOADS, 'stamps');
      if (!existsSync(folder)) {
        mkdirSync(DOWNLOADS, { recursive: true });
        execFileSync('apt-get', ['download', 'tuxpaint-stamps-default'], { cwd: DOWNLOADS, stdio: 'ignore' });
        const file = readdirSync(DOWNLOADS).find((name) => name.startsWith('tuxpaint-stamps-default'));
        execute('dpkg-deb', ['-x', join(DOWNLOADS, file), folder]);
      }
      const stamps = join(folder, 'usr/share/tuxpaint/stamps');
      return filesIn(stamps)
        .filter((path) => path.endsWith('.png') && !/symbols|cartoon/.test(relative(stamps, path)))
        .map((path) => ({ path, label: relative(stamps, dirname(path)) }));
    },
  },
  'emoji-800': { what: '800 of these emoji', from: 'as emoji', images: () => emoji(400) },
  'emoji-400': { what: '400 of these emoji', from: 'as emoji', images: () => emoji(200) },
  'emoji-80': { what: '80 of these emoji', from: 'as emoji', images: () => emoji(40) },
  miniature: { what: 'emoji of 24 classes, to try the board', from: 'as emoji', images: () => emoji(12) },
};

/** Classes of fewer images are left out. */
const FEWEST = 4;

/**
 * Brings a data set, once.
 * @returns {Promise<{ folder: string, images: { path: string, label: string }[] }>} paths relative to the folder, in order of their classes
 */
export async function dataset(name) {
  const folder = join(DATA, name);
  if (!existsSync(folder)) {
    const part = `${folder}.${process.pid}.part`;
    const byClass = new Map();
    for (const image of await sets[name].images()) {
      const label = image.label.replaceAll(/[^\w-]+/g, '_');
      byClass.set(label, [...(byClass.get(label) ?? []), image]);
    }
    for (const [label, images] of byClass) {
      if (images.length < FEWEST) continue;
      mkdirSync(join(part, label), { recursive: true });
      for (const [at, { path }] of images.entries())
        copyFileSync(path, join(part, label, `${at}${extname(path).toLowerCase()}`));
    }
    if (existsSync(folder)) rmSync(part, { recursive: true });
    else renameSync(part, folder);
  }
  const images = filesIn(folder).map((path) => ({
    path: relative(folder, path),
    label: basename(dirname(path)),
  }));
  return { folder, images };
}

/**
 * The classes of a seed: half of them train, the last quarter of which a search tests on.
 * @returns {Promise<{ folder: string, csv: string, search: string, images, parts: { fit, validation, train, test } }>} parts by places
 */
export async function splitOf(name, seed) {
  const { folder, images } = await dataset(name);
  const classes = [...new Set(images.map(({ label }) => label))].sort();
  const order = new Random(seed).permutation(classes.length);
  const half = Math.ceil(classes.length / 2);
  const held = Math.max(2, Math.round(half / 4));
  const partOf = new Map();
  for (const [at, label] of order.entries())
    partOf.set(classes[label], at < half - held ? 'fit' : at < half ? 'validation' : 'test');
  const placesOf = (...names) =>
    Int32Array.from(images.keys()).filter((place) => names.includes(partOf.get(images[place].label)));
  const parts = {
    fit: placesOf('fit'),
    validation: placesOf('validation'),
    train: placesOf('fit', 'validation'),
    test: placesOf('test'),
  };
  const lines = (train, test) =>
    [
      'path,label,split',
      ...[...train].map((at) => `${images[at].path},${images[at].label},train`),
      ...[...test].map((at) => `${images[at].path},${images[at].label},test`),
      '',
    ].join('\n');
  const [csv, search] = [`${seed}.csv`, `${seed}-search.csv`].map((file) => join(folder, file));
  for (const [file, text] of [
    [csv, lines(parts.train, parts.test)],
    [search, lines(parts.fit, parts.validation)],
  ])
    if (!existsSync(file)) writeFileSync(file, text);
  return { folder, csv, search, images, parts };
}
