import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder, sha256OfFile } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, describe, expect, it } from 'vitest';
import { openPairs } from '../datasets/pairs.js';
import type { Experiment, ExperimentInput } from '../experiment/experiment.js';
import type { ExperimentWithOwnParts } from '../experiment/own-parts.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { PATTERN_SIDE, pairLines, writePatternedPhotos } from '../testing/patterned-photos.js';
import { calibrateRun } from './calibrate-run.js';
import { compareRuns } from './compare-runs.js';
import { evaluateRun } from './evaluate-run.js';
import { train } from './train.js';

// What is learned of pairs alone, of things that a test has others of.

const [THINGS, VIEWS] = [16, 6];
const SIDE = PATTERN_SIDE;

let folder: string;
let file: string;
beforeAll(async () => {
  folder = temporaryFolder();
  await writePatternedPhotos(folder, THINGS, VIEWS);
  const half = THINGS / 2;
  const lines = [
    'first,second,same,split',
    ...pairLines({ from: 0, count: half }, VIEWS, 160, ',train'),
    ...pairLines({ from: half, count: half }, VIEWS, 160, ',test'),
  ];
  file = join(folder, 'pairs.csv');
  writeFileSync(file, lines.join('\n'));
});

const experiment = (more: ExperimentInput = {}): ExperimentInput => ({
  ...more,
  data: {
    dataset: { name: 'pairs', file },
    augmentation: { name: 'none' },
    imageSize: SIDE,
    resize: SIDE,
    batchSize: 32,
    ...more.data,
  },
  model: { backbone: { name: 'small-resnet', widths: [8, 16] }, embeddingDim: 16 },
  divide: { numLearners: 1, ...more.divide },
  optimize: { learningRate: 3e-3, lossLearningRate: 3e-3 },
  train: { epochs: 6, threads: 1, ...more.train },
});

describe.each([
  ['contrastive', undefined],
  ['margin', { name: 'margin' }],
  ['pair-contrastive', { name: 'pair-contrastive' }],
] as const)('%s', (name, loss) => {
  it('learns of pairs to tell others apart', async () => {
    const run = join(folder, name);
    const {
      best,
      untrained,
      experiment: written,
      queries,
    } = await train(experiment(loss ? { loss } : {}), { run });
    expect(written).toMatchObject({
      data: { sampler: { name: 'pairs' } },
      evaluate: { bestBy: 'ROC-AUC' },
      loss: { name },
    });
    expect(queries).toBe(160);
    expect(Object.keys(best!.metrics)).toEqual([
      'accuracy',
      'accuracy SE',
      'ROC-AUC',
      'FNMR@FMR0.001',
      'FNMR@FMR0.01',
      'FNMR@FMR0.1',
    ]);
    expect(best!.metrics['ROC-AUC']).toBeGreaterThan(untrained!['ROC-AUC']! + 0.03);
    expect(best!.metrics.accuracy).toBeGreaterThan(untrained!.accuracy!);
    const again = await evaluateRun(run, resolveExperiment(experiment(loss ? { loss } : {})));
    expect(again.metrics['ROC-AUC']).toBe(best!.metrics['ROC-AUC']);
  });
});

it('divides images into clusters, whose learners have the pairs within, and goes on to the whole', async () => {
  const run = join(folder, 'divided');
  const divide = { numLearners: 2, divideFrom: 1, modEpoch: 1, forceFullEmbeddingEpoch: 4 };
  const { best, untrained } = await train(experiment({ divide, train: { epochs: 8 } }), { run });
  expect(best!.metrics['ROC-AUC']).toBeGreaterThan(untrained!['ROC-AUC']! + 0.03);
  const divisions = RunFolder.open(run).divisions();
  expect(divisions.some(({ numClusters }) => numClusters === 2)).toBe(true);
  expect(divisions.at(-1)!.notes.join()).toMatch(/\d+ of 160 pairs are across clusters/);
});

it('remembers pairs of earlier batches', async () => {
  const memory = { crossBatchMemory: { size: 96, startStep: 2 } };
  const { best, untrained } = await train(experiment({ train: memory, loss: { name: 'pair-contrastive' } }), {
    run: join(folder, 'memory'),
  });
  expect(best!.metrics['ROC-AUC']).toBeGreaterThan(untrained!['ROC-AUC']! + 0.03);
});

it('evaluates a data set of code by the pairs that its run lists, and compares no Recall@1', async () => {
  const run = join(folder, 'own');
  const { data, ...others } = experiment({ loss: { name: 'contrastive' }, evaluate: { bestBy: 'accuracy' } });
  const dataset = await openPairs({ file });
  const own = {
    ...others,
    data: { ...data, dataset, sampler: { name: 'pairs' } },
    train: { epochs: 1, threads: 1 },
  };
  const { best, experiment: written } = await train(own as ExperimentWithOwnParts, { run });
  const again = await evaluateRun(run, written as Experiment);
  expect(again.metrics['ROC-AUC']).toBe(best!.metrics['ROC-AUC']);
  await expect(compareRuns(run, run)).rejects.toThrow(/was tested on pairs, of which no Recall@1 is known/);
});

const calibrationOf = (path: string) => {
  const run = RunFolder.open(path);
  return run.calibration(sha256OfFile(run.bestCheckpoint));
};

it('chooses the epoch on pairs that were set aside, and is calibrated by them, or else by the test pairs', async () => {
  const run = join(folder, 'validated');
  const more = { data: { validationFraction: 0.5 }, train: { epochs: 1 } } as const;
  const { best } = await train(experiment(more), { run });
  expect(best!.validation).toHaveProperty('ROC-AUC');
  const { source, classes, samePairs, differentPairs, thresholds, refused } = calibrationOf(run)!;
  expect(source).toBe(`validation pairs of ${run}`);
  expect(classes).toBe(4);
  expect(samePairs).toBeGreaterThan(0);
  expect(differentPairs).toBeGreaterThan(0);
  // Four things are six pairs of things.
  expect(thresholds).toEqual([]);
  expect(refused[0]!.reason).toMatch(/^only \d different pairs lie beyond its threshold/);

  const other = join(folder, 'contrastive');
  const tested = await calibrateRun(other, resolveExperiment(experiment()));
  expect(tested).toMatchObject({
    source: `test pairs of ${other}`,
    classes: THINGS / 2,
    images: (THINGS / 2) * VIEWS,
  });
  expect(tested.samePairs + tested.differentPairs).toBe(160);
  expect(calibrationOf(other)).toEqual(tested);
});

describe('what pairs cannot do is said in a line', () => {
  it.each([
    [{ loss: { name: 'arcface' } }, /the loss needs classes, and the data set has pairs/],
    [{ loss: { name: 'margin', betaPerClass: true } }, /the loss needs classes/],
    [{ data: { sampler: { name: 'pk' } } }, /pk draws batches by class, and the data set pairs has pairs/],
    [{ evaluate: { bestBy: 'R@1' } }, /expected one of accuracy, ROC-AUC to choose/],
    [{ data: { classRatio: 0.5 } }, /data\.classRatio takes images class by class/],
    [{ divide: { numLearners: 2, clusterBy: 'class' } }, /pairs have no classes that could be clustered/],
  ] as [ExperimentInput, RegExp][])('%o', async (more, message) => {
    await expect(train(experiment(more), { run: join(folder, 'refused') })).rejects.toThrow(message);
  });

  it('nor do classes go with batches of pairs', async () => {
    const csv = join(folder, 'classes.csv');
    writeFileSync(
      csv,
      Array.from({ length: THINGS }, (_, i) => `${i}-0.png,${i}\n${i}-1.png,${i}`).join('\n'),
    );
    const data: ExperimentInput['data'] = { dataset: { name: 'csv', file: csv }, sampler: { name: 'pairs' } };
    await expect(train(experiment({ data }), { run: join(folder, 'refused') })).rejects.toThrow(
      /pairs draws pairs, and the data set classes has classes/,
    );
  });

  it('nor does a run go on with other answers', async () => {
    const run = join(folder, 'contrastive');
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, before.replace('different,test', 'same,test'));
    try {
      await expect(evaluateRun(run, resolveExperiment(experiment()))).rejects.toThrow(
        /other pairs of them|came|went|moved/,
      );
    } finally {
      writeFileSync(file, before);
    }
  });
});
