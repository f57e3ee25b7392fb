import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { type DType, liveTensors, noGrad, ProcessGroup, scope, stack, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import type { TrainingData } from '../data/training-data.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import type { ExperimentWithOwnParts } from '../experiment/own-parts.js';
import { Interrupted } from '../interrupted.js';
import { Random } from '../random.js';
import { imagesData, type SmallSession, smallSession } from '../testing/small-session.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { frozenFeatures } from './frozen-features.js';
import { runEpochs } from './loop.js';
import { train } from './train.js';

const VIEWS = 3;

const inType = (data: TrainingData, dtype: DType): TrainingData => ({
  ...data,
  async *augmented(...given) {
    for await (const { images, ...batch } of data.augmented(...given))
      yield { ...batch, images: scope(() => (images as Tensor).to(dtype)).keep() };
  },
  async *plain(...given) {
    for await (const { images, ...batch } of data.plain(...given))
      yield { ...batch, images: scope(() => images.to(dtype)).keep() };
  },
});

/** The images themselves in the views that would be kept. */
function inViews(data: TrainingData): TrainingData {
  const all: Tensor[][] = [];
  return {
    ...data,
    async prepare() {
      const places = Int32Array.from(data.trainLabels.keys());
      const batches = [places.subarray(0, 32), places.subarray(32)];
      for (let view = 0; view < VIEWS; view++) {
        all.push([]);
        for await (const { images } of data.augmented(batches, new Random(view), 0))
          for (let row = 0; row < images.shape[0]!; row++)
            all[view]!.push((images as Tensor).select(0, row).clone());
      }
    },
    async *augmented(batches, random, done) {
      for (const [at, indices] of batches.entries()) {
        const stream = random.fork();
        if (at < done) continue;
        const rows = Array.from(indices, (place) => all[stream.int(VIEWS)]![place]!);
        yield { images: stack(rows).keep(), indices, labels: indices.map((i) => data.trainLabels[i]!) };
      }
    },
  };
}

const experiment = (depth: number, fields: ExperimentInput = {}): ExperimentInput =>
  mergeExperiments(
    {
      model: {
        backbone: { name: 'small-resnet', widths: [8, 16], depths: 2, dropPath: 0.2 },
        tuning: { name: 'full', freezeBelow: depth },
      },
      divide: { numLearners: 2 },
    },
    fields,
  );

interface Options extends SmallSession {
  depth: number;
  /** Of what is kept; null: the network runs whole. */
  kept: string | null;
}

/** Trains on the views, kept or not: losses of the steps and weights. */
async function run(path: string, { depth, kept, dtype = 'float32', ...given }: Options) {
  const steps: (number | null)[] = [];
  const { onStep, ...observer } = given.observer ?? {};
  const { parts, free } = smallSession(path, {
    epochs: 3,
    ...given,
    dtype,
    experiment: experiment(depth, given.experiment),
    observer: {
      ...observer,
      onStep: (info) => {
        steps.push(info.result.metricLoss);
        onStep?.(info);
      },
    },
  });
  const images = inType(imagesData(), dtype);
  parts.data =
    kept === null
      ? inViews(images)
      : frozenFeatures(images, parts.model.backbone, {
          ...{ depth, views: VIEWS, gigabytes: 1, side: 16, view: {}, device: 'cpu', folder: kept },
        });
  try {
    await runEpochs(parts);
  } finally {
    await parts.data.close?.();
    free();
  }
  const checkpoint = loadCheckpoint(parts.run.lastCheckpoint);
  const weights = [...checkpoint.model].map(([name, value]) => [name, [...value.toNumbers()]] as const);
  disposeCheckpoint(checkpoint);
  return {
    steps,
    weights,
    epochs: parts.run.epochs().map(({ seconds: _, ...record }) => record),
    divisions: parts.run.divisions(),
  };
}

/** All numbers anywhere in it. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersIn) : [];
}

const variants: [string, number, ExperimentInput][] = [
  ['the stem', 1, {}],
  ['half of the blocks', 3, {}],
  ['all of it', 5, {}],
  ['with checkpoints', 3, { train: { activationCheckpointing: true } }],
  ['in chunks', 3, { model: { batchNorm: 'frozen' }, train: { gradientCache: { chunk: 5 } } }],
  [
    'with a memory and averages',
    3,
    { train: { crossBatchMemory: { size: 32, momentum: 0.9 } }, optimize: { ema: { decay: 0.9 } } },
  ],
];

it.each(variants)(
  'a network whose first layers stay (%s) learns from what they made as from the images',
  async (_, depth, fields) => {
    const folder = temporaryFolder();
    const of = (name: string, kept: string | null) =>
      run(join(folder, name), { depth, kept, dtype: 'float64', experiment: fields });
    const whole = await of('whole', null);
    const kept = await of('kept', join(folder, 'kept-maps'));
    expect(whole.steps.length).toBeGreaterThan(8);
    const [numbers, wanted] = [numbersIn(kept), numbersIn(whole)];
    expect(numbers).toHaveLength(wanted.length);
    expect(Math.max(...numbers.map((each, i) => Math.abs(each - wanted[i]!)))).toBeLessThan(1e-9);
  },
);

it('goes on as if it had never been stopped, with what was kept and without', async () => {
  const folder = temporaryFolder();
  const maps = join(folder, 'maps');
  const whole = await run(join(folder, 'whole'), { depth: 3, kept: maps });
  const files = () => readdirSync(join(maps, readdirSync(maps)[0]!)).sort();
  expect(files()).toHaveLength(2 * VIEWS);
  for (const forget of [false, true]) {
    const path = join(folder, `forget-${forget}`);
    const stop = new AbortController();
    const onStep = ({ epoch, step }: { epoch: number; step: number }) => {
      if (epoch === 1 && step === 1) stop.abort();
    };
    const first = { depth: 3, kept: maps, signal: stop.signal, observer: { onStep } };
    await expect(run(path, first)).rejects.toThrow(Interrupted);
    if (forget) rmSync(maps, { recursive: true });
    const rest = await run(path, { depth: 3, kept: maps, resume: true });
    expect(rest.weights).toEqual(whole.weights);
    expect(rest.epochs).toEqual(whole.epochs);
    expect(rest.divisions).toEqual(whole.divisions);
  }
});

it('keeps what an earlier run made, per frozen weights, and frees all tensors', async () => {
  const folder = temporaryFolder();
  let asked = 0;
  const images = imagesData();
  const counting: TrainingData = {
    ...images,
    augmented: (...given) => {
      asked++;
      return images.augmented(...given);
    },
  };
  const of = async (change: boolean) => {
    const { parts, free } = smallSession(join(folder, `${asked}-${change}`), { experiment: experiment(3) });
    const { backbone } = parts.model;
    if (change) noGrad(() => backbone.tensorsBelow(1)[0]!.mul_(2));
    const data = frozenFeatures(counting, backbone, {
      ...{
        depth: 3,
        views: 2,
        gigabytes: 1,
        side: 16,
        view: {},
        device: 'cpu',
        folder: join(folder, 'maps'),
      },
    });
    const alive = liveTensors();
    await data.prepare!();
    const places = Int32Array.of(5, 4, 47);
    const seen: unknown[] = [];
    for await (const { images, ...batch } of data.augmented([places, places, places], new Random(1), 1)) {
      seen.push(batch.indices, (images as Tensor).tolist());
      images.dispose();
    }
    await data.close!();
    expect(liveTensors()).toBe(alive);
    free();
    return seen;
  };
  const first = await of(false);
  expect(asked).toBe(2);
  expect(first).toHaveLength(4);
  expect(await of(false)).toEqual(first);
  expect(asked).toBe(2);
  expect(await of(true)).not.toEqual(first);
  expect(asked).toBe(4);
});

const photos = temporaryFolder();
for (let label = 0; label < 8; label++) {
  mkdirSync(join(photos, `class-${label}`));
  for (let image = 0; image < 4; image++) {
    const fill = `<circle cx="20" cy="20" r="${8 + image}" fill="hsl(${label * 45},80%,50%)"/>`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">${fill}</svg>`;
    writeFileSync(join(photos, `class-${label}`, `${image}.svg`), svg);
  }
}
const ofPhotos = (fields: ExperimentWithOwnParts): ExperimentWithOwnParts =>
  mergeExperiments(
    {
      data: {
        dataset: { name: 'folder', folder: photos },
        ...{ imageSize: 32, resize: 36, batchSize: 8, samplesPerClass: 2, augmentation: { name: 'none' } },
      },
      model: {
        backbone: { name: 'small-resnet', widths: [4, 8] },
        tuning: { name: 'full', freezeBelow: 2, keptViews: 1 },
        embeddingDim: 4,
      },
      divide: { numLearners: 1 },
      optimize: { learningRate: 1e-3 },
      train: { epochs: 2 },
      evaluate: { map: false },
    },
    fields as ExperimentInput,
  );

it.each(['float32', 'bfloat16'] as const)(
  'an experiment in %s without augmentation comes to the same with one view kept',
  async (precision) => {
    process.env.CONQUER_CACHE = temporaryFolder();
    const losses = async (keptViews: number | null) => {
      const path = join(temporaryFolder(), 'run');
      const tuning = { name: 'full', freezeBelow: 2, keptViews } as const;
      await train(ofPhotos({ model: { tuning }, train: { precision } }), { run: path });
      return RunFolder.open(path)
        .epochs()
        .flatMap(({ metricLoss = 0, metrics }) => [metricLoss, metrics?.['R@1'] ?? 0]);
    };
    const whole = await losses(null);
    for (const [i, value] of (await losses(1)).entries())
      expect(Math.abs(value - whole[i]!)).toBeLessThan(precision === 'float32' ? 1e-6 : 1e-2);
  },
);

it.each<[ExperimentWithOwnParts, RegExp]>([
  [{ model: { tuning: { name: 'full', freezeBelow: 0 } } }, /keptViews: expected layers that stay/],
  [{ data: { imageSizeFrom: 16 } }, /keptViews: expected images of one size/],
  [
    { model: { backbone: { name: 'vgg11' } } },
    /keptViews: expected a backbone that runs in parts .*got vgg11/,
  ],
  [
    { model: { tuning: { name: 'full', freezeBelow: 2, keptViews: 64, keptGigabytes: 1e-4 } } },
    /keptViews: expected at most model\.tuning\.keptGigabytes, 0\.0001 GB, got 64 views of 16 images of 4×16×16 numbers, 0\.0042 GB: /,
  ],
])('refuses %o before anything is written', async (fields, message) => {
  const run = join(temporaryFolder(), 'run');
  await expect(train(ofPhotos(fields), { run })).rejects.toThrow(message);
  expect(RunFolder.exists(run)).toBe(false);
});

it('refuses several processes', async () => {
  const group = Object.create(ProcessGroup.alone(), { size: { value: 2 }, leave: { value() {} } });
  const run = join(temporaryFolder(), 'run');
  await expect(train(ofPhotos({}), { run, group })).rejects.toThrow(
    /keptViews: expected null, or one process/,
  );
});
