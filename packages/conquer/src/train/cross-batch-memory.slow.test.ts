import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { cat, Generator, liveTensors, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import type { ExperimentInput } from '../experiment/experiment.js';
import { Interrupted } from '../interrupted.js';
import { CrossBatchMemory } from '../losses/cross-batch-memory.js';
import type { Loss, LossPart } from '../losses/loss.js';
import { losses } from '../losses/losses.js';
import { MultiSimilarityLoss } from '../losses/multi-similarity.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { MomentumEncoder } from '../optimize/momentum-encoder.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import type { Rows } from '../rows.js';
import { type SmallSession, smallSession } from '../testing/small-session.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { runEpochs } from './loop.js';
import type { TrainObserver } from './observer.js';
import { TrainingStep } from './step.js';

const labels = Int32Array.of(0, 0, 0, 1, 1, 1, 2, 2);
const generator = new Generator(2);
const batches = Array.from({ length: 4 }, (_, i) => ({
  images: randn([8, 3, 12, 12], { generator }),
  labels,
  imageIds: labels.map((_, row) => 8 * (i % 3) + row),
}));

function setUp(
  make: () => Loss,
  options: { memory?: CrossBatchMemory | null; momentum?: number; learningRate?: number } = {},
) {
  const { memory = null, momentum, learningRate = 0 } = options;
  const weights = new Generator(1);
  const model = new EmbeddingModel(
    new SmallResNet({ widths: [4, 8], frozenBatchNorm: true, generator: weights }),
    {
      embeddingDim: 6,
      dropout: 0,
      generator: weights,
      masks: { numLearners: 2, initialisation: 'normal', generator: weights },
    },
  );
  const loss = make();
  const optimizer = new TrainingOptimizer(model, loss, { learningRate, weightDecay: 0, onWarning: () => {} });
  const miner = loss.usesTuples ? new DistanceWeightedMiner({ random: new Random(1), loss }) : null;
  const encoder = momentum === undefined ? null : new MomentumEncoder(model, momentum);
  const step = new TrainingStep({ model, loss, miner, optimizer, maskLambda: 0, memory, encoder });
  return { model, loss, step };
}

const numbers = (tensors: readonly Tensor[]) => tensors.map((each) => [...each.toNumbers()]);

describe('a step with a memory', () => {
  it('is the loss against the rows of the learner’s own batches, under the mask that it has now', () => {
    using memory = new CrossBatchMemory({ size: 16, startStep: 0 });
    const { model, loss, step } = setUp(() => new MultiSimilarityLoss(), { memory });
    const run = (batch: number, learner: number) =>
      step.run({ ...batches[batch]!, learner, fullEmbedding: false }).metricLoss;
    const rowsOf = (batch: number, learner: number): Rows => ({
      embeddings: model.embed(batches[batch]!.images, { learner }),
      labels,
      imageIds: batches[batch]!.imageIds,
    });
    const joined = (...rows: Rows[]): Rows => ({
      embeddings: cat(rows.map(({ embeddings }) => embeddings)),
      labels: Int32Array.from(rows.flatMap((each) => [...each.labels])),
      imageIds: Int32Array.from(rows.flatMap((each) => [...each.imageIds])),
    });
    run(0, 0);
    run(1, 1);
    // The masks have changed since the first batch was kept.
    noGrad(() => model.masks[0]!.mul_(randn([6], { generator: new Generator(4) }).abs()));
    const found = run(2, 0);
    const wanted = scope(() =>
      noGrad(() => loss.forward(rowsOf(2, 0), joined(rowsOf(0, 0), rowsOf(2, 0)), null).item()),
    );
    expect(found).toBeCloseTo(wanted, 5);
    // Two rings of two batches: the third one of a learner takes the first's place.
    const ids = (learner: number) => scope(() => [...memory.remembered(learner)!.owners.imageIds]);
    expect(ids(0)).toEqual([...batches[0]!.imageIds, ...batches[2]!.imageIds]);
    expect(ids(1)).toEqual([...batches[1]!.imageIds]);
  });

  it('sees an image that comes again as itself, not as a positive', () => {
    using memory = new CrossBatchMemory({ size: 24, startStep: 0 });
    const { step } = setUp(() => new MultiSimilarityLoss(), { memory });
    const input = {
      images: batches[0]!.images.narrow(0, 0, 2),
      labels: Int32Array.of(0, 1),
      learner: 0,
      fullEmbedding: false,
    };
    step.run({ ...input, imageIds: Int32Array.of(5, 6) });
    expect(step.run({ ...input, imageIds: Int32Array.of(5, 6) }).skipped).toMatch(/anything to compare/);
    expect(step.run({ ...input, imageIds: Int32Array.of(7, 6) }).skipped).toBeNull();
  });

  it('learns from a batch that has nothing to compare in itself', () => {
    using memory = new CrossBatchMemory({ size: 24, startStep: 0 });
    const { step } = setUp(() => new MultiSimilarityLoss(), { memory });
    const one = (label: number, id: number) =>
      step.run({
        images: batches[0]!.images.narrow(0, id, 2),
        labels: Int32Array.of(label, label),
        imageIds: Int32Array.of(id, id + 1),
        learner: 0,
        fullEmbedding: false,
      });
    expect(one(0, 0).skipped).toMatch(/anything to compare/);
    expect(one(1, 2).metricLoss).toBeGreaterThan(0);
  });

  it('trains as without one before its start, and keeps nothing', () => {
    using memory = new CrossBatchMemory({ size: 16, startStep: 2 });
    const run = (of: CrossBatchMemory | null) => {
      const { step } = setUp(() => new MultiSimilarityLoss(), { memory: of, learningRate: 0.01 });
      return batches.map((batch) => step.run({ ...batch, learner: 0, fullEmbedding: false }).metricLoss);
    };
    const [with_, without] = [run(memory), run(null)];
    expect(with_.slice(0, 2)).toEqual(without.slice(0, 2));
    expect(with_[3]).not.toBe(without[3]);
    const kept = scope(() => [...memory.remembered(0)!.owners.imageIds]);
    expect(kept).toEqual([2, 3].flatMap((batch) => [...batches[batch]!.imageIds]));
  });

  it('keeps nothing that is not finite', () => {
    using memory = new CrossBatchMemory({ size: 16, startStep: 0 });
    const { step } = setUp(() => new MultiSimilarityLoss(), { memory });
    using broken = batches[0]!.images.mul(Number.NaN);
    const input = { ...batches[0]!, images: broken, learner: 0, fullEmbedding: false };
    expect(() => step.run(input)).toThrow(/embeddings are not finite/);
    expect(scope(() => memory.remembered(0))).toBeNull();
  });

  it('embeds what it keeps with weights that follow those that train', () => {
    const kept = (momentum?: number) => {
      using memory = new CrossBatchMemory({ size: 8, startStep: 0 });
      const { step, model } = setUp(() => new MultiSimilarityLoss(), {
        memory,
        momentum,
        learningRate: 0.01,
      });
      const first = scope(() => noGrad(() => model.unmasked(batches[3]!.images).tolist()));
      for (const batch of batches) step.run({ ...batch, learner: 0, fullEmbedding: false });
      const now = scope(() => memory.remembered(0)!.rows.tolist());
      expect(model.training).toBe(true);
      return { first, now };
    };
    // An average that never moves is the network at the start; one that does at once is the network.
    const { first, now } = kept(0.999999);
    const far = (a: unknown, b: unknown) =>
      Math.max(
        ...(a as number[][]).flatMap((row, i) => row.map((x, j) => Math.abs(x - (b as number[][])[i]![j]!))),
      );
    expect(far(now, first)).toBeLessThan(1e-3);
    expect(far(kept().now, first)).toBeGreaterThan(1e-2);
    expect(far(kept(0).now, kept().now)).toBeLessThan(1e-5);
  });

  it('needs to know images again, and leaves no tensor behind', () => {
    using memory = new CrossBatchMemory({ size: 16, startStep: 0 });
    const { step } = setUp(() => new MultiSimilarityLoss(), { memory });
    const { images } = batches[0]!;
    expect(() => step.run({ images, labels, learner: 0, fullEmbedding: false })).toThrow(/expected imageIds/);
    const run = () => step.run({ ...batches[1]!, learner: 0, fullEmbedding: false });
    run();
    const before = liveTensors();
    for (let i = 0; i < 3; i++) run();
    expect(liveTensors()).toBe(before);
  });

  it.each(
    losses
      .map((part: LossPart) => {
        const context = { numClasses: 3, embeddingDim: 6, generator: new Generator(1), compat: null };
        return [
          part.name,
          () => part.build(withDefaults('loss', part.options, {} as never), context),
        ] as const;
      })
      .filter(([, make]) => {
        using loss = make();
        return loss.usesReference;
      }),
  )('trains two learners by the loss %s', (_, make) => {
    for (const form of ['paper', 'authors'] as const) {
      using memory = new CrossBatchMemory({ size: 16, startStep: 0, form });
      const { model, step } = setUp(make, { memory, learningRate: 1e-3 });
      const before = numbers(model.masks);
      const trained = batches.flatMap((batch, i) => {
        const { skipped, metricLoss } = step.run({ ...batch, learner: i % 2, fullEmbedding: false });
        return skipped === null ? [metricLoss] : [];
      });
      expect(trained.length).toBeGreaterThan(2);
      expect(trained.every(Number.isFinite)).toBe(true);
      const after = numbers(model.masks);
      // Adam moves what has any gradient; a hinge may have none.
      if (trained.every((loss) => loss! > 0))
        expect(after.map((mask, k) => mask.some((value, d) => value !== before[k]![d]))).toEqual([
          true,
          true,
        ]);
    }
  });
});

describe('a run with a memory', () => {
  const folder = temporaryFolder();
  const experiment: ExperimentInput = {
    loss: { name: 'multi-similarity' },
    divide: { numLearners: 2, modEpoch: 2, forceFullEmbeddingEpoch: 4 },
    train: { crossBatchMemory: { size: 30, startStep: 2, momentum: 0.9 } },
    evaluate: { untrained: false },
  };
  const session = (path: string, others: SmallSession = {}) =>
    smallSession(join(folder, path), { epochs: 5, experiment, ...others });
  const withoutTimes = (records: EpochRecord[]) => records.map(({ seconds: _, ...record }) => record);
  const ids = (memory: CrossBatchMemory, learner: number) =>
    scope(() => [...(memory.remembered(learner)?.owners.imageIds ?? [])]);

  it('is emptied by a division and when the learners join, holds images of its cluster, and is not written by evaluation', async () => {
    const filled: number[][] = [];
    const { parts, free } = session('divided', {
      observer: {
        onDivision: () => filled.push([-1, ids(parts.memory!, 0).length]),
        onEpochStart: ({ epoch }) => filled.push([epoch, ids(parts.memory!, 0).length]),
        onStep: ({ epoch, learner }) => {
          if (epoch >= 4) return;
          const { clusters } = RunFolder.open(join(folder, 'divided')).divisions().at(-1)!;
          expect(ids(parts.memory!, learner).every((id) => clusters[id] === learner)).toBe(true);
        },
        onEmbed: ({ purpose }) => {
          if (purpose !== 'evaluate') return;
          states.push(JSON.stringify(scope(() => parts.memory!.saved().state)));
        },
        onEpochEnd: () => states.push(JSON.stringify(scope(() => parts.memory!.saved().state))),
      },
    });
    const states: string[] = [];
    const before = liveTensors();
    await runEpochs(parts);
    free();
    expect(liveTensors()).toBeLessThan(before);
    const run = RunFolder.open(join(folder, 'divided'));
    const divided = run.divisions().filter(({ numClusters }) => numClusters > 1);
    expect(divided.length).toBeGreaterThan(0);
    const starts = filled.filter(([epoch]) => epoch! >= 0);
    for (const { epoch } of divided) expect(starts.find(([at]) => at === epoch)).toEqual([epoch, 0]);
    expect(starts.find(([at]) => at === 4)).toEqual([4, 0]);
    expect(starts.some(([, count]) => count! > 0)).toBe(true);
    // From the beginning of an evaluation to its end.
    expect(new Set(states).size).toBe(5);
  });

  it('stopped anywhere goes on with the same memory: the next losses are equal to the last bit', async () => {
    const lossesOf = async (path: string, others: SmallSession = {}) => {
      const seen: (number | null)[] = [];
      const stop = new AbortController();
      const { parts, free } = session(path, {
        signal: stop.signal,
        ...others,
        observer: {
          onStep: (info) => {
            seen.push(info.result.metricLoss);
            others.observer?.onStep?.(info);
            if (seen.length === (others as { stopAfter?: number }).stopAfter) stop.abort();
          },
        } satisfies TrainObserver,
      });
      await runEpochs(parts).catch((error: unknown) => {
        if (!(error instanceof Interrupted)) throw error;
      });
      free();
      return seen;
    };
    const whole = await lossesOf('whole');
    const a = RunFolder.open(join(folder, 'whole'));
    const x = loadCheckpoint(a.lastCheckpoint);
    expect([...x.memory!.keys()]).toContain('0.rows');
    for (const stopAfter of [1, 6, 11]) {
      const path = `cut-${stopAfter}`;
      const first = await lossesOf(path, { stopAfter } as SmallSession);
      expect(first).toHaveLength(stopAfter);
      const rest = await lossesOf(path, { resume: true });
      expect([...first, ...rest]).toEqual(whole);
      const b = RunFolder.open(join(folder, path));
      expect(withoutTimes(b.epochs())).toEqual(withoutTimes(a.epochs()));
      const y = loadCheckpoint(b.lastCheckpoint);
      for (const part of ['memory', 'encoder', 'model'] as const)
        for (const [name, value] of x[part]!)
          expect(y[part]!.get(name)?.tolist(), `${part}.${name}`).toEqual(value.tolist());
      expect(y.state.memory).toEqual(x.state.memory);
      disposeCheckpoint(y);
    }
    disposeCheckpoint(x);
  });

  it.each<[ExperimentInput, RegExp]>([
    [
      { loss: { name: 'proxy-anchor' } },
      /train\.crossBatchMemory: has no effect: the loss compares images with what it learns/,
    ],
    [{ loss: { name: 'koleo' } }, /train\.crossBatchMemory: has no effect/],
    [
      { train: { crossBatchMemory: { size: 11 } } },
      /train\.crossBatchMemory\.size: expected data\.batchSize, 12, or more, got 11/,
    ],
    [{ train: { crossBatchMemory: { weight: 1 } } }, /train\.crossBatchMemory\.weight: has no effect/],
    [
      { train: { crossBatchMemory: { momentum: 1 } } },
      /train\.crossBatchMemory\.momentum: expected .*0\.999999/,
    ],
    [{ train: { accumulate: 0 } }, /train\.accumulate: expected .*1/],
  ])('refuses %j in words', (wrong, message) => {
    expect(() => session('refused', { experiment: { ...experiment, ...wrong } })).toThrow(message);
  });
});
