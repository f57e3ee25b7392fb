import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder, type StoredExperiment, UserError } from '@conquer-dml/run';
import { discSvg } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, optim } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { splitOfClasses } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { openFolder } from '../datasets/folder.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { ContrastiveLoss } from '../losses/contrastive.js';
import { MarginLoss } from '../losses/margin.js';
import { NormalizedSoftmaxLoss } from '../losses/normalized-softmax.js';
import { FlexibleTripletMiner } from '../miners/flexible-triplet.js';
import { Random } from '../random.js';
import { loadGenerator } from './checkpoint.js';
import { refuseOtherData } from './continuation.js';
import { experimentDifferences } from './differences.js';
import { seenClassesWarning } from './seen-classes.js';
import { train } from './train.js';
import { type TrainEmbeddingOptions, trainEmbedding } from './train-embedding.js';

let folder: string;
let images: string;
beforeAll(async () => {
  folder = temporaryFolder();
  images = join(folder, 'images');
  for (let label = 0; label < 6; label++) {
    mkdirSync(join(images, `c${label}`), { recursive: true });
    for (let image = 0; image < 4; image++) {
      const disc = { x: 6 + image, y: 8, r: 5, fill: `hsl(${60 * label},90%,50%)` };
      const svg = discSvg({ width: 16, height: 16, ...disc });
      writeFileSync(join(images, `c${label}`, `${image}.svg`), svg);
    }
  }
  await trainEmbedding(await options('trained'));
  using loss = new MarginLoss();
  await trainEmbedding(await options('own-loss', { loss }));
});

const options = async (
  run: string,
  more: Partial<TrainEmbeddingOptions> = {},
): Promise<TrainEmbeddingOptions> => ({
  dataset: await openFolder({ folder: images }),
  run: join(folder, run),
  arch: { name: 'small-resnet', widths: [4, 8] },
  embeddingDim: 8,
  numLearners: 1,
  epochs: 1,
  batchSize: 4,
  samplesPerClass: 2,
  imageSize: 16,
  learningRate: 1e-5,
  ...more,
});

const files = ['config.json', 'dataset.json', 'test-images.json', 'metrics.jsonl', 'summary.json'];
const contents = (run: string) => files.map((name) => readFileSync(join(folder, run, name), 'utf8'));

interface Refusal {
  /** Of which run; default: 'trained'. */
  of?: string;
  /** Done to the copy before it is to go on. */
  change?: (run: string) => void;
}

/** The error with which a copy of a trained run does not go on, and nothing of it changes. */
async function refusal(
  more: Partial<TrainEmbeddingOptions>,
  { of = 'trained', change = () => {} }: Refusal = {},
): Promise<unknown> {
  const run = `copy-${Math.random()}`;
  cpSync(join(folder, of), join(folder, run), { recursive: true });
  change(join(folder, run));
  const [before, tensors] = [contents(run), liveTensors()];
  const going = trainEmbedding(await options(run, { resume: true, epochs: 2, ...more }));
  const error = await going.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error !== null) expect([contents(run), liveTensors()]).toEqual([before, tensors]);
  return error;
}

const userError = (message: RegExp) =>
  expect.objectContaining({ name: 'UserError', message: expect.stringMatching(message) });

describe('a run that goes on', () => {
  it('does, with the same options', async () => {
    expect(await refusal({})).toBeNull();
  });

  it.each<[string, Partial<TrainEmbeddingOptions>, RegExp]>([
    [
      'learning rate and size',
      { learningRate: 1e-3, embeddingDim: 16 },
      /model\.embeddingDim: 8 → 16; .*optimize\.learningRate: 0\.00001 → 0\.001/,
    ],
    ['batches', { batchSize: 8 }, /data\.batchSize: 4 → 8/],
    ['the optimiser', { optimizer: { weightDecay: 0.1 } }, /optimize\.weightDecay: 0\.\d+ → 0\.1/],
    ['frozen BatchNorm', { model: { batchNorm: 'frozen' } }, /model\.batchNorm: "trained" → "frozen"/],
    [
      'course of the learning rates',
      { learningRateFactor: optim.cosine({ steps: 2 }) },
      /epoch 1 ended at 0.00001, learningRateFactor would have it/,
    ],
  ])('is refused for another %s', async (_, more, message) => {
    expect(await refusal(more)).toEqual(userError(message));
  });

  it('is refused for another loss or miner, or one set otherwise', async () => {
    const own = { of: 'own-loss' };
    using margin = new MarginLoss({ margin: 0.5 });
    expect(await refusal({ loss: margin }, own)).toEqual(userError(/loss\.options: .*0\.2.* → .*0\.5/));
    using contrastive = new ContrastiveLoss();
    expect(await refusal({ loss: contrastive }, own)).toEqual(
      userError(/loss\.own: "MarginLoss" → "ContrastiveLoss"/),
    );
    using same = new MarginLoss();
    expect(await refusal({ loss: same }, own)).toBeNull();
    // A part of the program's list that builds the same is the same.
    expect(await refusal({}, own)).toBeNull();
    expect(await refusal({ loss: { name: 'contrastive' } }, own)).toEqual(
      userError(/loss\.own: "MarginLoss" → /),
    );
  });

  it("is refused where code of one's own takes the place of a part", async () => {
    using loss = new MarginLoss();
    expect(await refusal({ loss })).toEqual(userError(/loss: "margin" → "MarginLoss", code of one's own/));
    const miner = new FlexibleTripletMiner({
      positive: 'random',
      negative: 'hard',
      margin: 0,
      random: new Random(1),
    });
    expect(await refusal({ miner })).toEqual(
      userError(/miner: "distance-weighted" → "FlexibleTripletMiner", code/),
    );
  });

  it('is refused by the checkpoint where config.json was edited since', async () => {
    const edit = (run: string) => {
      const file = join(run, 'config.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace('"embeddingDim": 8', '"embeddingDim": 16'));
    };
    expect(await refusal({ embeddingDim: 16 }, { change: edit })).toEqual(
      userError(/model\.embeddingDim: 8 → 16/),
    );
  });

  it('is refused where the loss has parameters of another shape', async () => {
    const run = 'softmax';
    const loss = () => new NormalizedSoftmaxLoss({ numClasses: 3, embeddingDim: 8 });
    using first = loss();
    await trainEmbedding(await options(run, { loss: first }));
    using wider = new NormalizedSoftmaxLoss({ numClasses: 4, embeddingDim: 8 });
    const going = trainEmbedding(await options(run, { loss: wider, resume: true, epochs: 2 }));
    await expect(going).rejects.toEqual(userError(/is of another model, loss or optimiser/));
    using second = loss();
    await trainEmbedding(await options(run, { loss: second, resume: true, epochs: 2 }));
  });

  it('does, with what its config.json holds', async () => {
    const run = join(folder, 'from-its-config');
    const { dataset: _, ...fields } = (
      RunFolder.open(join(folder, 'trained')).experiment() as ExperimentInput
    ).data!;
    const experiment: ExperimentInput = {
      ...RunFolder.open(join(folder, 'trained')).experiment(),
      data: { ...fields, dataset: { name: 'folder', folder: images } },
    };
    await train(experiment, { run });
    const stored = RunFolder.open(run).experiment() as ExperimentInput;
    const { epochs } = await train(
      { ...stored, train: { ...stored.train, epochs: 2 } },
      { run, resume: true },
    );
    expect(epochs).toBe(2);
  });
});

describe('the data set of a run that goes on', () => {
  const changed = async (change: () => void, undo: () => void) => {
    change();
    try {
      return await refusal({});
    } finally {
      undo();
    }
  };
  const at = (path: string) => join(images, path);

  it('may lie elsewhere', async () => {
    const elsewhere = join(folder, 'elsewhere', 'photos');
    cpSync(images, elsewhere, { recursive: true });
    expect(await refusal({ dataset: await openFolder({ folder: elsewhere }) })).toBeNull();
  });

  it('has the same images and classes, or nothing is trained', async () => {
    const first = at('c0/+.svg');
    expect(
      await changed(
        () => cpSync(at('c0/0.svg'), first),
        () => rmSync(first),
      ),
    ).toEqual(
      userError(/is not the one that .* was trained on: 1 image came \(c0\/\+\.svg\); nothing was done/),
    );
    expect(
      await changed(
        () => renameSync(at('c2'), at('b')),
        () => renameSync(at('b'), at('c2')),
      ),
    ).toEqual(userError(/1 class came \(b\); 1 class went \(c2\); 4 images came .*; 4 images went/));
    // The halves are others: a class that was trained on would be tested on.
    expect(
      await changed(
        () => {
          for (const name of ['a0', 'a1']) cpSync(at('c0'), at(name), { recursive: true });
        },
        () => {
          for (const name of ['a0', 'a1']) rmSync(at(name), { recursive: true });
        },
      ),
    ).toEqual(userError(/1 class moved \(c2 from train to test\)/));
    expect(
      await changed(
        () => renameSync(at('c5/0.svg'), at('c5/00.svg')),
        () => renameSync(at('c5/00.svg'), at('c5/0.svg')),
      ),
    ).toEqual(userError(/1 image came \(c5\/00\.svg\); 1 image went \(c5\/0\.svg\)/));
  });

  it('is told by the checkpoint where the record is gone; of an older run, only in number', async () => {
    const dataset = await openFolder({ folder: images });
    const shorter = { ...dataset, test: splitOfClasses('test', []) };
    const noRecord = (run: string) => rmSync(join(run, 'dataset.json'));
    files.splice(files.indexOf('dataset.json'), 1);
    try {
      expect(await refusal({ dataset: shorter }, { change: noRecord })).toEqual(
        userError(/its files or classes differ/),
      );
      expect(await refusal({}, { change: noRecord })).toBeNull();
    } finally {
      files.push('dataset.json');
    }
  });

  it('of an older run, which has no record, is compared as far as its test images are known', async () => {
    cpSync(join(folder, 'trained'), join(folder, 'older'), { recursive: true });
    rmSync(join(folder, 'older', 'dataset.json'));
    const run = RunFolder.open(join(folder, 'older'));
    const notes: string[] = [];
    const note = (text: string) => void notes.push(text);
    const dataset = await openFolder({ folder: images });
    refuseOtherData(run, undefined, recordOf(dataset), note);
    expect(notes).toEqual([expect.stringContaining('of an older version')]);
    const swapped = { ...dataset, train: dataset.test, test: dataset.train };
    expect(() => refuseOtherData(run, undefined, recordOf(swapped), note)).toThrow(
      /3 classes came \(c0, c1, c2\); 3 classes went \(c3, c4, c5\)/,
    );
  });

  it('is warned of where the weights that it starts with have seen the classes to test on', async () => {
    const dataset = await openFolder({ folder: images });
    const weights = RunFolder.open(join(folder, 'trained')).bestCheckpoint;
    expect(seenClassesWarning(weights, dataset)).toBeNull();
    expect(seenClassesWarning(join(folder, 'else', 'where.pth'), dataset)).toBeNull();
    const notes: string[] = [];
    await trainEmbedding(
      await options('fine-tuned', {
        dataset: { ...dataset, train: dataset.test, test: dataset.train },
        weights,
        observer: { onWarning: (text) => notes.push(text) },
      }),
    );
    expect(notes).toContainEqual(expect.stringMatching(/^3 of the 3 classes to test on .*\(c0, c1, c2\)/));
  });

  it('does not test on what it trains on', async () => {
    const dataset = await openFolder({ folder: images });
    const going = trainEmbedding(await options('seen', { dataset: { ...dataset, test: dataset.train } }));
    await expect(going).rejects.toEqual(userError(/tests on classes that it trains on \(3: c0, c1, c2\)/));
    await expect(going).rejects.toThrow(UserError);
  });
});

it('dropout goes on where it was, on the same kind of processor', () => {
  const drawn = new Generator(7);
  const state = {
    experiment: { train: { device: 'cpu' } },
    generator: Buffer.from(drawn.state()).toString('base64'),
  };
  const generator = new Generator(1);
  expect(loadGenerator(generator, { ...state, experiment: { train: { device: 'cuda:0' } } })).toBe(false);
  expect(generator.state()).toEqual(new Generator(1).state());
  expect(loadGenerator(generator, state)).toBe(true);
  expect(generator.state()).toEqual(drawn.state());
  expect(() => loadGenerator(generator, { ...state, generator: 'AAAA' })).toThrow(UserError);
});

it('fields that are not the experiment may differ, and words are no files', () => {
  const experiment = (folder: string, split: string, lr: number): StoredExperiment => ({
    data: { dataset: { name: 'folder', folder, split } },
    optimize: { learningRate: lr },
  });
  const before = {
    ...experiment('/a', '/a/list.txt', 1),
    train: { epochs: 2, device: 'cuda:0', gone: 1 },
    track: [{ name: 'mlflow' }],
  };
  const now = { ...experiment('/b', '/b/list.txt', 1), train: { epochs: 3, device: 'cpu', added: 1 } };
  expect(experimentDifferences(before, now)).toEqual([]);
  expect(experimentDifferences(before, { ...now, ...experiment('/b', 'half', 2) })).toEqual([
    'data.dataset.split: "/a/list.txt" → "half"',
    'optimize.learningRate: 1 → 2',
  ]);
});
