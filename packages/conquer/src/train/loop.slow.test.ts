import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, noGrad } from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import type { TrainingData } from '../data/training-data.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { imagesData, labels, NUM_CLASSES, smallSession } from '../testing/small-session.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { runEpochs } from './loop.js';

describe('runEpochs', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });

  const withoutTimes = (records: EpochRecord[]) => records.map(({ seconds: _, ...record }) => record);

  it('divides, doubles the learners, joins, and learns', async () => {
    const path = join(folder, 'run');
    const before = liveTensors();
    const alive: number[] = [];
    const learnersOf = new Map<number, Set<number>>();
    const { parts, free } = smallSession(path, {
      observer: {
        onStep: ({ epoch, learner }) =>
          learnersOf.set(epoch, (learnersOf.get(epoch) ?? new Set()).add(learner)),
        onEpochEnd: () => alive.push(liveTensors()),
      },
    });
    const summary = await runEpochs(parts);
    const run = RunFolder.open(path);
    const records = run.epochs();
    expect(records.map((r) => [r.epoch, r.numLearners ?? 1, r.fullEmbedding ?? false])).toEqual([
      [-1, 1, false],
      [0, 1, false],
      [1, 2, false],
      [2, 4, false],
      [3, 4, false],
      [4, 4, true],
      [5, 4, true],
    ]);
    expect(run.divisions().map((d) => [d.epoch, d.numClusters])).toEqual([
      [0, 1],
      [1, 2],
      [2, 4],
      [3, 4],
    ]);
    expect([...learnersOf.values()].map((set) => set.size).slice(0, 2)).toEqual([1, 2]);
    expect(learnersOf.get(4)?.size).toBe(1);
    expect(records[1]?.maskLoss).toBe(0);
    expect(records[3]?.maskLoss).toBeGreaterThan(0);
    expect(records[3]?.learningRates).toHaveProperty('masks');
    expect(records[5]?.learningRates).not.toHaveProperty('masks');
    expect(summary.best?.metrics['R@1']).toBeGreaterThan(0.3);
    expect(run.summary()).toEqual(summary);
    // A run may move: its files do not say where they were.
    expect(readFileSync(run.summaryFile, 'utf8')).not.toContain(folder);
    // Nothing is left behind by an epoch, once the learners no longer grow and their moments are there.
    expect(alive.at(-1)).toBe(alive.at(-2));
    free();
    expect(liveTensors()).toBe(before);
  });

  it('leaves out the evaluation of the untrained model where it is told to, and changes nothing else', async () => {
    const records = async (name: string, evaluateUntrained: boolean) => {
      const { parts, free } = smallSession(join(folder, name), {
        epochs: 2,
        experiment: { evaluate: { untrained: evaluateUntrained } },
      });
      await runEpochs(parts);
      free();
      return withoutTimes(RunFolder.open(join(folder, name)).epochs());
    };
    const [, ...trained] = await records('with-untrained', true);
    expect(trained).toHaveLength(2);
    expect(await records('without-untrained', false)).toEqual(trained);
  });

  describe('a batch that is not finite', () => {
    /** Spoils the images of some steps, counted over the run. */
    const spoilt = (bad: (step: number) => boolean): TrainingData => {
      const data = imagesData();
      let step = 0;
      return {
        ...data,
        trainPaths: Array.from(labels.keys(), (i) => `${i}.jpg`),
        async *augmented(...args) {
          for await (const batch of data.augmented(...args)) {
            if (bad(step++)) batch.images.narrow(0, 0, batch.labels.length).mul_(Number.NaN);
            yield batch;
          }
        },
      };
    };
    it('stops the run with the step, the files and the last good checkpoint', async () => {
      const path = join(folder, 'nan');
      const { parts, free } = smallSession(path, { data: spoilt((step) => step === 5) });
      await expect(runEpochs(parts)).rejects.toThrow(
        /^epoch 2, step 2 of \d+: .* not finite.*, in the batch of \d+\.jpg, .* and 9 more in .*not-finite\.jsonl; the last good checkpoint is .*last\.safetensors; .*train\.onNan 'skip'/,
      );
      const record = JSON.parse(readFileSync(RunFolder.open(path).notFiniteFile, 'utf8'));
      expect(record).toMatchObject({ epoch: 1, step: 1 });
      expect(record.files).toHaveLength(12);
      free();
    });

    it('is left out, and leaves no trace in weights and statistics', async () => {
      const notes: string[] = [];
      const run = async (name: string, bad: (step: number) => boolean, epochs = 1) => {
        const path = join(folder, name);
        const observer = { onWarning: (text: string) => void notes.push(text) };
        const { parts, free } = smallSession(path, {
          epochs,
          observer,
          data: spoilt(bad),
          experiment: { train: { onNan: 'skip' } },
        });
        return await runEpochs(parts).finally(free);
      };
      const { last } = await run('one', (step) => step === 3);
      expect(last?.metrics['R@1']).toBeGreaterThan(0);
      expect(notes).toEqual([expect.stringMatching(/^left out: epoch 1, step 4 of 4: /)]);
      const file = RunFolder.open(join(folder, 'one')).lastCheckpoint;
      const checkpoint = loadCheckpoint(file);
      for (const [name, value] of checkpoint.model)
        expect([...value.toNumbers()].every(Number.isFinite), name).toBe(true);
      disposeCheckpoint(checkpoint);
      expect(RunFolder.open(join(folder, 'one')).epochs().at(-1)?.skipped).toBe(1);
      await expect(run('all', (step) => step > 5, 9)).rejects.toThrow(
        /batches of the epoch were left out|not one of \d+ batches/,
      );
    });
  });

  it('says when the embedding has collapsed', async () => {
    const { parts, free } = smallSession(join(folder, 'collapsed'), {
      epochs: 1,
      learningRate: () => 0,
    });
    noGrad(() => {
      for (const [name, parameter] of parts.model.namedParameters())
        if (name.startsWith('embedding')) parameter.fill_(name.endsWith('bias') ? 1 : 0);
    });
    await runEpochs(parts);
    expect(parts.run.epochs().map(({ collapsed }) => collapsed)).toEqual([true, true]);
    free();
    const { parts: healthy, free: freeHealthy } = smallSession(join(folder, 'healthy'), { epochs: 1 });
    await runEpochs(healthy);
    expect(healthy.run.epochs().map(({ collapsed }) => collapsed)).toEqual([undefined, undefined]);
    freeHealthy();
  });

  it('chooses the best epoch on the validation classes where there are some', async () => {
    const path = join(folder, 'validated');
    const { parts, free } = smallSession(path);
    // Validation labels that the images contradict ever more: the first epochs look best on them.
    parts.data.validationLabels = labels.map((_, i) => i % NUM_CLASSES);
    const summary = await runEpochs(parts);
    free();
    const records = RunFolder.open(path).epochs();
    expect(records.every(({ validation }) => validation?.['R@1'] !== undefined)).toBe(true);
    const scores = records.slice(1).map(({ validation }) => validation?.['R@1'] ?? 0);
    expect(summary.best?.chosenOn).toBe('validation');
    expect(summary.best?.epoch).toBe(scores.indexOf(Math.max(...scores)));
    expect(summary.best?.validation?.['R@1']).toBe(Math.max(...scores));
    expect(summary.best?.metrics).toEqual(records[(summary.best?.epoch ?? 0) + 1]?.metrics);
    const test = records.slice(1).map(({ metrics }) => metrics?.['R@1'] ?? 0);
    expect(summary.best?.epoch).not.toBe(test.indexOf(Math.max(...test)));
  });

  it('with one learner never divides; compat dcesml goes on cluster by cluster', async () => {
    const one = smallSession(join(folder, 'one'), {
      epochs: 2,
      experiment: { divide: { numLearners: 1 } },
    });
    await runEpochs(one.parts);
    expect(one.parts.model.numLearners).toBe(1);
    const seen = new Set<number>();
    const compat = smallSession(join(folder, 'compat'), {
      experiment: { compat: 'dcesml' },
      epochs: 5,
      observer: { onStep: ({ epoch, learner }) => void (epoch === 4 && seen.add(learner)) },
    });
    await runEpochs(compat.parts);
    expect(seen.size).toBeGreaterThan(1);
    expect(RunFolder.open(join(folder, 'compat')).divisions().at(-1)?.epoch).toBe(4);
    for (const run of [one, compat]) run.free();
  });

  it('hands on how to cluster, and evaluates under the masks it is told to', async () => {
    const run = async (name: string, { divide, ...fields }: ExperimentInput = {}) => {
      const path = join(folder, name);
      const { parts, free } = smallSession(path, {
        epochs: 3,
        experiment: { divide: { hierarchy: 'none', ...divide }, ...fields },
      });
      await runEpochs(parts);
      free();
      return RunFolder.open(path);
    };
    const plain = await run('plain');
    const seeds = [1, 2, 3, 4].map((clusterSeed) => run(`seed-${clusterSeed}`, { divide: { clusterSeed } }));
    const sizes = (await Promise.all(seeds)).map((seeded) => JSON.stringify(seeded.divisions()[0]));
    expect(new Set(sizes).size).toBeGreaterThan(1);
    expect(JSON.stringify((await run('same', { divide: { clusterSeed: 1 } })).divisions()[0])).toBe(sizes[0]);
    const moved = (of: RunFolder) => of.divisions().map((division) => division.moved);
    expect(moved(await run('random', { divide: { recluster: 'random' } }))).not.toEqual(moved(plain));
    // Known centroids take no draws, so that all draws after the first division are others.
    const losses = async (clustering: 'kmeans' | 'adaptive-centroids') =>
      (await run(clustering, { divide: { clustering, numLearners: 2 } }))
        .epochs()
        .map((record) => record.metricLoss);
    const anew = await losses('kmeans');
    const adaptive = await losses('adaptive-centroids');
    expect(adaptive[1]).toBe(anew[1]);
    expect(adaptive[2]).not.toBe(anew[2]);

    const metrics = (of: RunFolder) => of.epochs().map((record) => record.metrics);
    const masked = await run('masked', { model: { fullEmbeddingMasks: 'sum' } });
    // While all masks are ones, their sum changes nothing; once they have trained it does.
    expect(metrics(masked)[0]).toEqual(metrics(plain)[0]);
    expect(metrics(masked).at(-1)).not.toEqual(metrics(plain).at(-1));

    const frozen = await run('frozen', {
      divide: { freezeMasksWithOneLearner: true, hierarchy: 'top-down' },
    });
    expect(frozen.epochs().map((record) => record.learningRates?.masks === 0)).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});

it('a nested embedding trains under learners with masks, and each prefix is measured', async () => {
  const { parts, free } = smallSession(join(temporaryFolder(), 'nested'), {
    experiment: {
      loss: { name: 'multi-similarity' },
      model: { prefixes: [4, 8], prefixWeights: [1, 0.5] },
      divide: { numLearners: 2 },
    },
    epochs: 3,
  });
  await runEpochs(parts);
  const records = parts.run.epochs();
  expect(
    records.map(({ metrics }) => Object.keys(metrics ?? {}).filter((name) => name.includes(' of '))),
  ).toEqual(records.map(() => ['R@1 of 4', 'R@1 of 8']));
  expect(records.at(-1)!.metrics!['R@1 of 8']).toBeGreaterThan(0.3);
  free();
});
