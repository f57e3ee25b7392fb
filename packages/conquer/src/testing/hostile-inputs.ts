import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { decodeImages, ImageError, type ImageInput, imageSize } from '@conquer-dml/image';
import { datasetDifferences, RunFolder, testImagesOf, UserError } from '@conquer-dml/run';
import { type FuzzReport, fuzz } from '@conquer-dml/testing/fuzz';
import type { Mutations } from '@conquer-dml/testing/mutations';
import { liveTensors, tensor } from '@conquer-dml/torch';
import { flagsOf } from '../cli/flags.js';
import { flatRecipes } from '../cli/flat-recipes.js';
import { readRun } from '../cli/runs.js';
import { openCsv } from '../datasets/csv.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import type { DistributionOptions } from '../datasets/distribution.js';
import { openFolder } from '../datasets/folder.js';
import { openInshop } from '../datasets/inshop.js';
import { MatlabError } from '../datasets/matlab/matlab-error.js';
import { parseMatlab } from '../datasets/matlab/matlab-file.js';
import { openSop } from '../datasets/sop.js';
import { openVehicleId } from '../datasets/vehicle-id.js';
import { builtInParts } from '../experiment/experiment.js';
import { readRecipe } from '../experiment/recipe.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { disposeCheckpoint, loadCheckpoint, saveCheckpoint } from '../train/checkpoint.js';

// Damaged copies of everything that conquer reads from files. Each ends in a result or in an error of one line.

const SEEDS = fileURLToPath(new URL('./fuzz-seeds/', import.meta.url));
const seed = (name: string) => readFileSync(join(SEEDS, name));
const seedText = (name: string) => seed(name).toString('utf8');

/** Puts an input into its file. Cut afterwards: some file systems wait for the disk when a file is emptied and written. */
function put(path: string, bytes: Uint8Array): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT);
  writeSync(file, bytes, 0, bytes.length, 0);
  ftruncateSync(file, bytes.length);
  closeSync(file);
}

/** A folder for the inputs of one run of the fuzzer. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-hostile-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const isUserError = (error: unknown) => error instanceof UserError;

export function fuzzMatlab(inputs: number, seedNumber: number): Promise<FuzzReport> {
  const [raw, compressed] = [seed('annotations.mat'), seed('compressed.mat')];
  const next = (mutations: Mutations) => {
    const damaged = mutations.damage(mutations.pick([raw, compressed]), [raw]);
    if (mutations.int(2) === 0) return damaged;
    // Compressed files refuse nearly all damage by their checksum: damage what they hold.
    const data = deflateSync(mutations.damage(raw.subarray(128), [raw]), { level: 1 });
    const tag = Buffer.alloc(8);
    tag.writeUInt32LE(15);
    tag.writeUInt32LE(data.length, 4);
    return Buffer.concat([raw.subarray(0, 128), tag, data]);
  };
  return fuzz({
    inputs,
    seed: seedNumber,
    next,
    read: parseMatlab,
    isClean: (error) => error instanceof MatlabError,
  });
}

/** No damaged list leads outside of the folder that the data set lies in. */
function checkInside(folder: string, { train, test, validation, gallery, testSets }: Dataset): void {
  const splits = [train, test, validation, gallery, ...(testSets ?? [])];
  for (const { paths, labels, classNames } of splits.filter((split): split is Split => split !== undefined)) {
    const outside = paths.find((path) => !path.startsWith(folder + sep) || path.split(sep).includes('..'));
    if (outside !== undefined) throw new Error(`a list leads outside: ${outside}`);
    if (labels.some((label) => !(label >= 0 && label < classNames.length)))
      throw new Error('a label has no class');
  }
}

interface ListTarget {
  /** Where the list lies. */
  file: string;
  text: string;
  open: (options: DistributionOptions) => Promise<Dataset>;
  /** What `--dataset-dir` says, if not the folder. */
  dataset?: string;
  /** Other files that must be there. */
  others?: Record<string, string>;
}

/** Split lists of the data sets, and CSV files. */
export async function fuzzLists(inputs: number, seedNumber: number): Promise<FuzzReport> {
  const vehicles = seedText('train_list.txt');
  const targets: ListTarget[] = [
    {
      file: 'own.csv',
      text: seedText('own.csv'),
      open: ({ folder, ...options }) => openCsv({ ...options, file: folder }),
      dataset: 'own.csv',
    },
    {
      file: 'own.csv',
      text: seedText('gallery.csv'),
      open: ({ folder, ...options }) => openCsv({ ...options, file: folder }),
      dataset: 'own.csv',
    },
    {
      file: 'sop/Ebay_train.txt',
      text: seedText('Ebay_train.txt'),
      open: openSop,
      others: {
        'sop/Ebay_test.txt':
          'image_id class_id super_class_id path\n1 11319 1 a/4.jpg\n2 11319 1 a/5.jpg\n3 11320 1 a/6.jpg\n',
      },
    },
    {
      file: 'in-shop/Eval/list_eval_partition.txt',
      text: seedText('list_eval_partition.txt'),
      open: openInshop,
    },
    {
      file: 'vehicle-id/VehicleID_V1.0/train_test_split/train_list.txt',
      text: vehicles,
      open: openVehicleId,
      others: Object.fromEntries(
        [800, 1600, 2400].map((size) => [
          `vehicle-id/VehicleID_V1.0/train_test_split/test_list_${size}.txt`,
          vehicles,
        ]),
      ),
    },
  ];
  return await inFolder(async (folder) => {
    for (const root of ['a', 'sop/a', 'in-shop/a', 'in-shop/img', 'vehicle-id/VehicleID_V1.0/image']) {
      mkdirSync(join(folder, root), { recursive: true });
      for (let image = 1; image <= 6; image++) writeFileSync(join(folder, root, `${image}.jpg`), '');
    }
    for (let label = 0; label < 6; label++) {
      const images = join(folder, 'classes', `class-${label}`);
      mkdirSync(images, { recursive: true });
      for (const name of ['1.jpg', '2.jpg']) writeFileSync(join(images, name), '');
    }
    for (const { file, others = {} } of targets) {
      mkdirSync(join(folder, file, '..'), { recursive: true });
      for (const [name, text] of Object.entries(others)) writeFileSync(join(folder, name), text);
    }
    const hostile = [
      '../../etc/passwd',
      '/etc/passwd',
      '..\\..\\x',
      'C:\\x',
      'a/\0.jpg',
      '__proto__',
      'a//1.jpg',
    ];
    let target: ListTarget | null = null;
    const next = (mutations: Mutations) => {
      target = mutations.int(targets.length + 1) < targets.length ? mutations.pick(targets) : null;
      let text = target?.text ?? seedText('training-classes.txt');
      if (mutations.int(3) === 0)
        text = text.replaceAll(/a\/\d\.jpg/g, (path) =>
          mutations.int(3) > 0 ? path : mutations.pick(hostile),
        );
      else if (mutations.int(2) === 0) return mutations.damage(Buffer.from(text), [Buffer.from(text)]);
      for (let rounds = mutations.int(3); rounds >= 0; rounds--) text = mutations.damageText(text);
      return Buffer.from(text);
    };
    const read = async (bytes: Uint8Array) => {
      if (target === null) {
        put(join(folder, 'classes.txt'), bytes);
        const file = join(folder, 'classes.txt');
        checkInside(
          folder,
          await openFolder({ folder: join(folder, 'classes'), split: { kind: 'list', file } }),
        );
        return;
      }
      put(join(folder, target.file), bytes);
      const place = target.dataset === undefined ? folder : join(folder, target.dataset);
      checkInside(folder, await target.open({ folder: place, allowPartial: true, onWarning: () => {} }));
    };
    return await fuzz({ inputs, seed: seedNumber, next, read, isClean: isUserError });
  });
}

/** Checkpoints: their bytes with the checksum that tells, without it, and the state in a file that is whole. */
export async function fuzzCheckpoints(inputs: number, seedNumber: number): Promise<FuzzReport> {
  return await inFolder(async (folder) => {
    const [file, whole] = [join(folder, 'input.safetensors'), join(folder, 'whole.safetensors')];
    const weights = tensor([1, 2, 3]);
    saveCheckpoint(whole, {
      model: new Map([['embedding.weight', weights]]),
      loss: new Map(),
      optimizer: new Map(),
      clusters: Int32Array.of(0, 1, 0),
      state: {
        experiment: { train: { epochs: 3 } },
        epoch: 1,
        numLearners: 2,
        masksTrain: true,
        division: {
          epoch: 1,
          numClusters: 2,
          sizes: [2, 1],
          classCounts: [1, 1],
          leftOut: 0,
          moved: 0,
          notes: [],
        },
        optimizer: { groups: [], factor: 1, frozen: [] },
        random: [1, 2, 3, 4],
        generator: 'AAAA',
        best: null,
        seconds: { divide: 0, train: 1, evaluate: 1, total: 2 },
        images: 3,
      },
    });
    weights.dispose();
    const bytes = readFileSync(whole);
    const alive = liveTensors();
    const headerEnd = 8 + Number(bytes.readBigUInt64LE());
    const header = bytes.subarray(8, headerEnd).toString('utf8');
    const [unsummed, data] = [
      header.replace(/"crc32":"\w+",/, '').replace('checkpoint-2', 'checkpoint-1'),
      bytes.subarray(headerEnd),
    ];
    const state = /"state":"((?:[^"\\]|\\.)*)"/.exec(header)?.[1] ?? '';
    const next = (mutations: Mutations) => {
      if (mutations.int(4) === 0) return mutations.damage(bytes, [bytes]);
      const damaged =
        mutations.int(2) === 0
          ? mutations.damageText(unsummed)
          : unsummed.replace(state, () =>
              JSON.stringify(mutations.damageText(JSON.parse(`"${state}"`))).slice(1, -1),
            );
      const text = Buffer.from(damaged);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.length));
      return Buffer.concat([length, text, data]);
    };
    const read = (input: Uint8Array) => {
      put(file, input);
      disposeCheckpoint(loadCheckpoint(file));
    };
    const check = () => {
      if (liveTensors() !== alive) throw new Error(`an input left ${liveTensors() - alive} tensors behind`);
    };
    return await fuzz({ inputs, seed: seedNumber, next, read, isClean: isUserError, check });
  });
}

/** The files of a run folder, as `conquer runs`, a resumed run and the dashboard read them. */
export async function fuzzRunLogs(inputs: number, seedNumber: number): Promise<FuzzReport> {
  return await inFolder(async (folder) => {
    const run = RunFolder.create(join(folder, 'run'), {
      data: { dataset: { name: 'emoji' } },
      optimize: { learningRate: 1e-3 },
      train: { epochs: 3 },
    });
    for (const epoch of [-1, 0, 1])
      run.appendEpoch({
        epoch,
        metrics: { 'R@1': 0.5, NMI: 0.25 },
        steps: 7,
        seconds: { train: 1, evaluate: 2 },
      });
    run.appendDivision({
      epoch: 0,
      numClusters: 2,
      sizes: [2, 1],
      classCounts: [1, 1],
      leftOut: 0,
      moved: 1,
      notes: ['a'],
      clusters: Int32Array.of(0, 1, 0),
    });
    run.appendSteps({
      epoch: 0,
      step: 6,
      steps: 7,
      metricLoss: 0.5,
      maskLoss: null,
      imagesPerSecond: 10,
      skipped: 0,
    });
    run.appendMasks(0, [
      [1, 0.5],
      [0, 1],
    ]);
    const split = { name: 'test', paths: ['/data/a/1.png', '/data/b/1.png'], labels: Int32Array.of(0, 1) };
    const classes = { ...split, classNames: ['a', 'b'] };
    const record = recordOf({ name: 'data', train: classes, test: classes, recallAt: [1] });
    run.writeDataset(record);
    run.writeTestImages(testImagesOf({ test: classes, gallery: classes }));
    writeFileSync(run.summaryFile, '{"status":"stopped","epochs":3,"best":null}');
    writeFileSync(
      join(run.path, 'running.json'),
      '{"pid":1,"since":"2026-01-01T00:00:00.000Z","started":"1"}',
    );
    const files = readdirSync(run.path).filter((name) => name !== 'checkpoints');
    const originals = new Map(files.map((name) => [name, readFileSync(join(run.path, name))]));
    let name = '';
    const next = (mutations: Mutations) => {
      name = mutations.pick(files);
      const original = originals.get(name)!;
      if (mutations.int(2) === 0) return mutations.damage(original, [original]);
      return Buffer.from(mutations.damageText(original.toString('utf8')));
    };
    const read = (bytes: Uint8Array, input: number) => {
      put(join(run.path, name), bytes);
      try {
        readRun(run.path);
        run.divisions();
        run.steps();
        run.masks();
        run.testImages();
        datasetDifferences(run.dataset() ?? record, record);
        if (input % 20 === 0) run.rewindTo(0); // as a resumed run does; it writes, and waits for the disk
      } finally {
        if (input % 20 === 0) for (const [file, original] of originals) put(join(run.path, file), original);
        else put(join(run.path, name), originals.get(name)!);
      }
    };
    return await fuzz({ inputs, seed: seedNumber, next, read, isClean: isUserError });
  });
}

export async function fuzzRecipes(inputs: number, seedNumber: number): Promise<FuzzReport> {
  return await inFolder(async (folder) => {
    const file = join(folder, 'recipe.json');
    const originals = [seed('recipe.json'), seed('flat-recipe.json')];
    const flat = flatRecipes(flagsOf(builtInParts));
    const next = (mutations: Mutations) => {
      const original = mutations.pick(originals);
      return mutations.int(3) === 0
        ? mutations.damage(original, originals)
        : Buffer.from(mutations.damageText(original.toString('utf8')));
    };
    const read = (bytes: Uint8Array) => {
      put(file, bytes);
      resolveExperiment(readRecipe(file, flat).experiment);
    };
    resolveExperiment({}); // makes what all that follow use
    return await fuzz({ inputs, seed: seedNumber, next, read, isClean: isUserError });
  });
}

/** Images: their headers, and, where these promise no more than a page, their pixels. */
export async function fuzzImages(inputs: number, seedNumber: number): Promise<FuzzReport> {
  return await inFolder(async (folder) => {
    const names = readdirSync(SEEDS).filter((name) => /\.(jpg|png|bmp|webp|gif|tif|svg)$/.test(name));
    const files = names.map(seed);
    let extension = '';
    const next = (mutations: Mutations) => {
      const which = mutations.int(files.length);
      extension = extname(names[which]!);
      const bytes = files[which]!;
      // Most of the damage into the first bytes, where headers are.
      const head = Math.min(bytes.length, mutations.pick([64, 200, bytes.length]));
      return Buffer.concat([mutations.damage(bytes.subarray(0, head), files), bytes.subarray(head)]);
    };
    const pixelsOf = async (image: ImageInput) => {
      const { width, height } = await imageSize(image);
      if (!(width > 0 && height > 0)) throw new Error(`an image of ${width} x ${height}`);
      const out = new Uint8Array(8 * 8 * 3);
      if (width * height <= 1e6) await decodeImages([{ image, size: { width: 8, height: 8 } }], out);
      return out;
    };
    const read = async (bytes: Uint8Array) => {
      const path = join(folder, `image${extension}`);
      put(path, bytes);
      const failed = (error: unknown) => {
        if (!(error instanceof ImageError)) throw error;
        return error;
      };
      const fromFile = await pixelsOf(path).catch(failed);
      const fromMemory = await pixelsOf(bytes).catch(failed);
      const [a, b] = [fromFile, fromMemory].map((one) => (one instanceof ImageError ? null : one.join()));
      if (a !== b) throw new Error('its bytes are another image than its file');
      if (fromFile instanceof ImageError) throw fromFile;
    };
    // What readers load when they are first asked is no input's.
    for (const file of files) await pixelsOf(file);
    return await fuzz({
      inputs,
      seed: seedNumber,
      next,
      read,
      isClean: (error) => error instanceof ImageError,
    });
  });
}

/** All of them, by what they damage. */
export const fuzzers: Record<string, (inputs: number, seed: number) => Promise<FuzzReport>> = {
  'MATLAB files': fuzzMatlab,
  'split lists and CSV files': fuzzLists,
  checkpoints: fuzzCheckpoints,
  'run logs': fuzzRunLogs,
  recipes: fuzzRecipes,
  images: fuzzImages,
};
