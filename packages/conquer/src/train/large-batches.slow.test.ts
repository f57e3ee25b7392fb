import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, randn, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import type { ExperimentInput } from '../experiment/experiment.js';
import { Interrupted } from '../interrupted.js';
import { ProxyAnchorLoss } from '../losses/proxy-anchor.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { type SmallSession, smallSession } from '../testing/small-session.js';
import { runEpochs } from './loop.js';
import { NotFiniteError, TrainingStep, type TrainingStepParts } from './step.js';

const labels = Int32Array.of(0, 0, 1, 1, 2, 2);
const generator = new Generator(2);
const batches = Array.from({ length: 3 }, () => randn([6, 3, 12, 12], { generator }));
const numbers = (tensors: readonly Tensor[]) => tensors.map((each) => [...each.toNumbers()]);

function setUp(others: Partial<TrainingStepParts> = {}, Model = EmbeddingModel) {
  const weights = new Generator(1);
  const model = new Model(new SmallResNet({ widths: [4, 8], frozenBatchNorm: true, generator: weights }), {
    embeddingDim: 6,
    dropout: 0,
    generator: weights,
  });
  const loss = new ProxyAnchorLoss({ numClasses: 3, embeddingDim: 6, generator: weights });
  const algorithm = { name: 'sgd', momentum: 0 } as const;
  const optimizer = new TrainingOptimizer(model, loss, {
    algorithm,
    learningRate: 0.1,
    lossLearningRate: 0.1,
    weightDecay: 0,
  });
  const step = new TrainingStep({ model, loss, miner: null, optimizer, maskLambda: 0.01, ...others });
  const parameters = [...model.parameters(), ...loss.parameters()];
  const run = (images: Tensor) => step.run({ images, labels, learner: 0, fullEmbedding: false });
  return { model, loss, step, parameters, run };
}

describe('batches that make one step of the optimiser', () => {
  /** The weights after one step by each batch alone, less those before. */
  const moved = (images: Tensor) => {
    const { parameters, run } = setUp();
    const before = numbers(parameters);
    run(images);
    return numbers(parameters).map((each, i) => each.map((value, j) => value - before[i]![j]!));
  };
  const alone = batches.map(moved);
  const mean = (of: number[]) =>
    alone[0]!.map((each, i) =>
      each.map((_, j) => of.reduce((sum, batch) => sum + alone[batch]![i]![j]!, 0) / of.length),
    );
  const expectMoved = (parameters: readonly Tensor[], before: number[][], by: number[][]) => {
    for (const [i, each] of numbers(parameters).entries())
      for (const [j, value] of each.entries()) expect(value - before[i]![j]!).toBeCloseTo(by[i]![j]!, 5);
  };

  it('move the weights by the mean of what each does', () => {
    const { parameters, run, step } = setUp({ accumulate: 3 });
    const before = numbers(parameters);
    for (const [i, images] of batches.entries()) {
      expect(numbers(parameters)).toEqual(before);
      expect(run(images).metricLoss).toBeGreaterThan(0);
      expect(step.isWaiting).toBe(i < 2);
    }
    expectMoved(parameters, before, mean([0, 1, 2]));
  });

  it('at the end of an epoch are fewer, and no step without any', () => {
    const { parameters, run, step } = setUp({ accumulate: 3 });
    const before = numbers(parameters);
    step.finish();
    run(batches[0]!);
    run(batches[2]!);
    step.finish();
    expect(step.isWaiting).toBe(false);
    expectMoved(parameters, before, mean([0, 2]));
  });

  it('leave out one that is not finite', () => {
    const { parameters, run } = setUp({ accumulate: 3 });
    const before = numbers(parameters);
    run(batches[0]!);
    using broken = batches[1]!.mul(Number.NaN);
    expect(() => run(broken)).toThrow(NotFiniteError);
    expect(numbers(parameters)).toEqual(before);
    run(batches[2]!);
    expectMoved(parameters, before, mean([0, 2]));
  });
});

/** Whose rows come in half precision, as under autocast. */
class HalfModel extends EmbeddingModel {
  override unmasked(images: Tensor): Tensor {
    return super.unmasked(images).to('bfloat16');
  }
}

describe('a network that computes in half precision', () => {
  it('gives the loss float32, and its proxies stay float32 and move', () => {
    const dtypes: string[] = [];
    const { loss, run } = setUp({}, HalfModel);
    const forward = loss.forward.bind(loss);
    loss.forward = (rows) => {
      dtypes.push(rows.embeddings.dtype, rows.raw!.dtype);
      return forward(rows);
    };
    const [proxies] = loss.parameters();
    const before = proxies!.tolist() as number[][];
    const { metricLoss } = run(batches[0]!);
    expect(metricLoss).toBeCloseTo(setUp().run(batches[0]!).metricLoss!, 0);
    expect(dtypes).toEqual(['float32', 'float32']);
    expect(proxies!.dtype).toBe('float32');
    const after = proxies!.tolist() as number[][];
    expect(after.map((row, i) => row.some((value, j) => value !== before[i]![j]))).toEqual([
      true,
      true,
      true,
    ]);
  });
});

describe('a run', () => {
  const folder = temporaryFolder();
  const experiment: ExperimentInput = {
    loss: { name: 'smooth-ap' },
    model: {
      batchNorm: 'frozen',
      backbone: { name: 'small-resnet', widths: [8, 16], dropPath: 0.2 },
      dropout: 0.2,
    },
    divide: { numLearners: 2, modEpoch: 1, forceFullEmbeddingEpoch: 3 },
    evaluate: { untrained: false },
  };
  const session = (path: string, train: ExperimentInput['train'], others: SmallSession = {}) =>
    smallSession(join(folder, path), {
      epochs: 4,
      ...others,
      experiment: { ...experiment, ...others.experiment, train },
    });
  const withoutTimes = (records: EpochRecord[]) => records.map(({ seconds: _, ...record }) => record);

  it('in chunks trains as at once, where nothing is left out by chance', async () => {
    const model: ExperimentInput['model'] = {
      ...experiment.model,
      backbone: { name: 'small-resnet', widths: [8, 16] },
      dropout: 0,
    };
    const losses = async (path: string, train: ExperimentInput['train']) => {
      const { parts, free } = session(path, train, { experiment: { model }, epochs: 2 });
      await runEpochs(parts);
      free();
      return RunFolder.open(join(folder, path))
        .epochs()
        .map(({ metricLoss }) => metricLoss!);
    };
    const [whole, chunked] = [
      await losses('whole', {}),
      await losses('chunked', { gradientCache: { chunk: 5 } }),
    ];
    expect(chunked).toHaveLength(2);
    for (const [epoch, loss] of whole.entries()) expect(chunked[epoch]).toBeCloseTo(loss, 4);
  });

  it.each<[string, ExperimentInput['train']]>([
    ['chunks', { gradientCache: { chunk: 5 } }],
    ['accumulation', { accumulate: 3 }],
    [
      'all three',
      {
        gradientCache: { chunk: 5 },
        accumulate: 2,
        crossBatchMemory: { size: 24, startStep: 1, momentum: 0.5 },
      },
    ],
  ])('of %s, stopped anywhere, goes on to the same numbers', async (name, train) => {
    const whole = session(`${name}-whole`, train);
    await runEpochs(whole.parts);
    whole.free();
    const records = withoutTimes(RunFolder.open(join(folder, `${name}-whole`)).epochs());
    for (const stopAt of [1, 6]) {
      const path = `${name}-${stopAt}`;
      const stop = new AbortController();
      let steps = 0;
      const onStep = () => void (++steps === stopAt && stop.abort());
      const first = session(path, train, { signal: stop.signal, observer: { onStep } });
      await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
      // Gradients that wait for others are in no checkpoint: it ends when they are in the weights.
      expect(first.parts.step.isWaiting).toBe(false);
      first.free();
      const rest = session(path, train, { resume: true });
      await runEpochs(rest.parts);
      rest.free();
      expect(withoutTimes(RunFolder.open(join(folder, path)).epochs())).toEqual(records);
    }
  });

  it('with BatchNorm that trains refuses the cache in words', () => {
    expect(() =>
      session('refused', { gradientCache: {} }, { experiment: { model: { batchNorm: 'trained' } } }),
    ).toThrow(/train\.gradientCache: expected a network whose BatchNorm is frozen/);
  });

  it('says how many images were the anchor of no tuple', async () => {
    const seen: { anchorsWithoutTuples: number | null; images: number }[] = [];
    const { parts, free } = session(
      'mined',
      {},
      {
        epochs: 1,
        experiment: { loss: { name: 'margin' }, miner: { name: 'easy-positive' } },
        observer: {
          onStep: ({ images, result }) =>
            seen.push({ images, anchorsWithoutTuples: result.anchorsWithoutTuples }),
        },
      },
    );
    await runEpochs(parts);
    free();
    const [record] = RunFolder.open(join(folder, 'mined')).epochs();
    const sum = (of: (step: (typeof seen)[number]) => number) =>
      seen.reduce((total, step) => total + of(step), 0);
    expect(record!.anchorsWithoutTuples).toBeCloseTo(
      sum((s) => s.anchorsWithoutTuples!) / sum((s) => s.images),
      10,
    );
    expect(record!.zeroLoss).toBe(0);
    expect(RunFolder.open(join(folder, 'mined')).steps().at(-1)).toHaveProperty('anchorsWithoutTuples');
  });
});
