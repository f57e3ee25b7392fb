import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EpochRecord, RunFolder, type StepRecord } from '@conquer/run';
import { Generator, liveTensors, noGrad, readSafetensors, tensor } from '@conquer/torch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DivisionSchedule } from '../divide/schedule.js';
import { Interrupted } from '../interrupted.js';
import { MarginLoss } from '../losses/margin.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { createModel } from '../models/create-model.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { Random } from '../random.js';
import { AdaptiveClassBalancedSampler } from '../samplers/adaptive.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { type TrainObserver, type TrainOptions, train } from './loop.js';
import { TrainingStep } from './step.js';

const SIZE = 16;
const NUM_CLASSES = 8;
const PER_CLASS = 6;
const labels = Int32Array.from({ length: NUM_CLASSES * PER_CLASS }, (_, i) => Math.floor(i / PER_CLASS));

/** Noisy renderings of one random pattern a class: something that can be learnt in a few steps. */
function makeImages(seed: number): Float32Array[] {
  const random = new Random(seed);
  const draw = (scale: number) =>
    Float32Array.from({ length: 3 * SIZE * SIZE }, () => scale * random.normal());
  const patterns = Array.from({ length: NUM_CLASSES }, () => draw(1));
  return Array.from(labels, (label) => draw(0.7).map((noise, i) => noise + (patterns[label]?.[i] ?? 0)));
}

function imagesData(): TrainOptions['data'] {
  const splits = { train: makeImages(1), test: makeImages(2), validation: makeImages(3), gallery: [] };
  const batchOf = (images: Float32Array[], indices: Int32Array) => {
    const pixels = new Float32Array(indices.length * 3 * SIZE * SIZE);
    for (const [row, i] of indices.entries()) pixels.set(images[i] as Float32Array, row * 3 * SIZE * SIZE);
    return {
      images: tensor(pixels, { shape: [indices.length, 3, SIZE, SIZE] }).keep(),
      labels: indices.map((i) => labels[i] as number),
      indices,
    };
  };
  return {
    trainLabels: labels,
    testLabels: labels,
    async *augmented(batches, random, done) {
      for (const [at, indices] of batches.entries()) {
        const brightness = 0.1 * random.normal();
        if (at < done) continue;
        const batch = batchOf(splits.train, indices);
        yield { ...batch, images: batch.images.add_(brightness) };
      }
    },
    async *plain(split) {
      yield batchOf(splits[split], Int32Array.from(labels.keys()));
    },
  };
}

interface Overrides {
  epochs?: number;
  resume?: boolean;
  numLearners?: number;
  compat?: 'dcesml';
  observer?: TrainObserver;
  signal?: AbortSignal;
  dropout?: number;
  fullEmbeddingMasks?: 'sum';
  hierarchy?: 'top-down' | 'bottom-up' | 'none';
  loop?: Partial<TrainOptions>;
}

function prepare(path: string, overrides: Overrides = {}): { options: TrainOptions; free: () => void } {
  const {
    epochs = 6,
    resume = false,
    numLearners = 4,
    dropout = 0.1,
    hierarchy,
    loop,
    ...others
  } = overrides;
  const { fullEmbeddingMasks, ...rest } = others;
  const generator = new Generator(3);
  const dropoutGenerator = new Generator(4);
  const random = new Random(5);
  const model = createModel(
    { name: 'small-resnet', widths: [8, 16] },
    {
      embeddingDim: 16,
      dropout,
      fullEmbeddingMasks,
      generator,
      dropoutGenerator,
      masks: { numLearners: hierarchy && hierarchy !== 'top-down' ? numLearners : 1 },
    },
  );
  const loss = new MarginLoss({ numClasses: NUM_CLASSES });
  const optimizer = new TrainingOptimizer(model, loss, {
    learningRate: 3e-3,
    lossLearningRate: 1e-3,
    maskLearningRateMultiplier: 3,
  });
  const miner = new DistanceWeightedMiner({ random });
  const options: TrainOptions = {
    model,
    loss,
    optimizer,
    step: new TrainingStep({ model, loss, miner, optimizer, maskLambda: 0.1 }),
    schedule: new DivisionSchedule({
      numLearners,
      modEpoch: 1,
      forceFullEmbeddingEpoch: 4,
      ...(hierarchy && { hierarchy }),
      ...(rest.compat && { compat: rest.compat }),
    }),
    sampler: (indices, all, r) =>
      new AdaptiveClassBalancedSampler({
        indices,
        labels: indices.map((i) => all[i] as number),
        batchSize: 12,
        samplesPerClass: 3,
        random: r,
      }),
    data: imagesData(),
    epochs,
    learningRate: (epoch) => 1 / (1 + epoch),
    recallAt: [1, 2],
    random,
    generator: dropoutGenerator,
    run: resume ? RunFolder.open(path) : RunFolder.create(path, { name: 'test' }),
    settings: { name: 'test' },
    resume,
    ...rest,
    ...loop,
  };
  const free = () => {
    optimizer.dispose();
    model.dispose();
    loss.dispose();
  };
  return { options, free };
}

describe('train', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'conquer-loop-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const withoutTimes = (records: EpochRecord[]) => records.map(({ seconds: _, ...record }) => record);

  it('divides, doubles the learners, joins, and learns', async () => {
    const path = join(folder, 'run');
    const before = liveTensors();
    const alive: number[] = [];
    const learnersOf = new Map<number, Set<number>>();
    const { options, free } = prepare(path, {
      observer: {
        onStep: ({ epoch, learner }) =>
          learnersOf.set(epoch, (learnersOf.get(epoch) ?? new Set()).add(learner)),
        onEpochEnd: () => alive.push(liveTensors()),
      },
    });
    const summary = await train(options);
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

  it('resumed, gives the numbers of a run that was never interrupted', async () => {
    const whole = prepare(join(folder, 'whole'));
    await train(whole.options);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const x = loadCheckpoint(a.lastCheckpoint);
    for (const stopAfter of [1, 3, 5]) {
      const path = join(folder, `cut${stopAfter}`);
      const first = prepare(path, { epochs: stopAfter });
      await train(first.options);
      first.free();
      const second = prepare(path, { resume: true });
      await train(second.options);
      second.free();
      const b = RunFolder.open(path);
      expect(withoutTimes(b.epochs())).toEqual(withoutTimes(a.epochs()));
      expect(b.divisions()).toEqual(a.divisions());
      const y = loadCheckpoint(b.lastCheckpoint);
      for (const [name, value] of x.model) expect(y.model.get(name)?.tolist()).toEqual(value.tolist());
      expect(y.state.random).toEqual(x.state.random);
    }
  });

  /** Trains to the end, stopped and resumed where `stopAt` says: what it learnt, and the steps that were trained. */
  const stopped = async (path: string, stopAt: (stop: () => void) => TrainObserver) => {
    const stop = new AbortController();
    let steps = 0;
    const { onStep, ...others } = stopAt(() => stop.abort());
    const first = prepare(path, {
      signal: stop.signal,
      observer: {
        ...others,
        onStep: (info) => {
          steps++;
          onStep?.(info);
        },
      },
    });
    const alive = liveTensors();
    await expect(train(first.options)).rejects.toThrow(Interrupted);
    expect(RunFolder.open(path).summary()?.status).toBe('stopped');
    const rest = prepare(path, { resume: true, observer: { onStep: () => void steps++ } });
    await train(rest.options);
    for (const run of [first, rest]) run.free();
    expect(liveTensors()).toBeLessThan(alive);
    return { run: RunFolder.open(path), steps };
  };

  it('stopped anywhere, loses no step and changes no number', async () => {
    let steps = 0;
    const whole = prepare(join(folder, 'whole'), { observer: { onStep: () => void steps++ } });
    await train(whole.options);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const moments: [string, (stop: () => void) => TrainObserver][] = [
      ['first step', (stop) => ({ onStep: ({ epoch }) => void (epoch === 0 && stop()) })],
      ['step', (stop) => ({ onStep: ({ epoch, step }) => void (epoch === 2 && step === 1 && stop()) })],
      ['last step', (stop) => ({ onStep: ({ epoch, step }) => void (epoch === 4 && step === 3 && stop()) })],
      ['untrained', (stop) => ({ onEmbed: ({ purpose }) => void (purpose === 'evaluate' && stop()) })],
      ['division', (stop) => ({ onEmbed: ({ purpose }) => void (purpose === 'divide' && stop()) })],
      [
        'evaluation',
        (stop) => {
          let trained = false;
          return {
            onStep: ({ epoch }) => {
              trained ||= epoch === 3;
            },
            onEmbed: ({ purpose }) => void (trained && purpose === 'evaluate' && stop()),
          };
        },
      ],
    ];
    for (const [name, moment] of moments) {
      const b = await stopped(join(folder, name), moment);
      expect(withoutTimes(b.run.epochs()), name).toEqual(withoutTimes(a.epochs()));
      expect(b.run.divisions(), name).toEqual(a.divisions());
      expect(b.steps, name).toBe(steps);
      const last = b.run.steps().filter(({ step, steps }) => step === steps - 1);
      expect(last.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3, 4, 5]);
      const [x, y] = [a, b.run].map((run) => loadCheckpoint(run.lastCheckpoint));
      expect(y!.state.random).toEqual(x!.state.random);
      for (const [tensor, value] of x!.model)
        expect(y!.model.get(tensor)?.tolist(), tensor).toEqual(value.tolist());
      for (const checkpoint of [x!, y!]) disposeCheckpoint(checkpoint);
    }
  });

  it('stopped within a clustering or a search for neighbours, changes no number', async () => {
    // A signal that is given at the n-th time it is asked; without n it notes when such work asks.
    const asked = (n: number, inWork: number[] = []) => {
      let asks = 0;
      const aborted = () => {
        asks++;
        if (n === 0 && new Error().stack?.includes('withPauses')) inWork.push(asks);
        return asks === n;
      };
      return Object.defineProperty(new AbortController().signal, 'aborted', { get: aborted });
    };
    const inWork: number[] = [];
    const loop = { epochs: 5 };
    const whole = prepare(join(folder, 'whole'), { ...loop, signal: asked(0, inWork) });
    await train(whole.options);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const expected = loadCheckpoint(a.lastCheckpoint);
    expect(inWork.length).toBeGreaterThan(100);
    for (let stop = 0; stop < 8; stop++) {
      const n = inWork[Math.floor((inWork.length * stop) / 8)]!;
      const path = join(folder, `stop-${n}`);
      const first = prepare(path, { ...loop, signal: asked(n) });
      await expect(train(first.options), `at ${n}`).rejects.toThrow(Interrupted);
      first.free();
      const rest = prepare(path, { ...loop, resume: true });
      await train(rest.options);
      rest.free();
      const b = RunFolder.open(path);
      expect(withoutTimes(b.epochs()), `at ${n}`).toEqual(withoutTimes(a.epochs()));
      expect(b.divisions()).toEqual(a.divisions());
      expect(readFileSync(b.embeddingsFile)).toEqual(readFileSync(a.embeddingsFile));
      const last = loadCheckpoint(b.lastCheckpoint);
      expect(last.state.random).toEqual(expected.state.random);
      expect(last.state.best).toEqual(expected.state.best);
      for (const [tensor, value] of expected.model)
        expect(last.model.get(tensor)?.tolist(), tensor).toEqual(value.tolist());
      disposeCheckpoint(last);
    }
    disposeCheckpoint(expected);
  });

  it('leaves out the evaluation of the untrained model where it is told to, and changes nothing else', async () => {
    const records = async (name: string, evaluateUntrained: boolean) => {
      const { options, free } = prepare(join(folder, name), { epochs: 2, loop: { evaluateUntrained } });
      await train(options);
      free();
      return withoutTimes(RunFolder.open(join(folder, name)).epochs());
    };
    const [, ...trained] = await records('with-untrained', true);
    expect(trained).toHaveLength(2);
    expect(await records('without-untrained', false)).toEqual(trained);
  });

  it('goes on from the checkpoint before, where the last one is damaged', async () => {
    const path = join(folder, 'damaged');
    const whole = prepare(join(folder, 'whole'), { epochs: 4 });
    await train(whole.options);
    const first = prepare(path, { epochs: 3 });
    await train(first.options);
    const run = RunFolder.open(path);
    const bytes = readFileSync(run.lastCheckpoint);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(run.lastCheckpoint, bytes);
    const notes: string[] = [];
    const rest = prepare(path, { epochs: 4, resume: true, observer: { onNote: (text) => notes.push(text) } });
    await train(rest.options);
    expect(notes).toEqual([expect.stringMatching(/last\.safetensors: damaged: its checksum is/)]);
    const [a, b] = [join(folder, 'whole'), path].map((of) => withoutTimes(RunFolder.open(of).epochs()));
    expect(b).toEqual(a);
    for (const file of run.resumable) writeFileSync(file, bytes.subarray(0, 1000));
    const none = prepare(path, { epochs: 5, resume: true });
    await expect(train(none.options)).rejects.toThrow(
      /^no checkpoint of the run can be used; remove them to begin anew: .*last\.safetensors.*; and 2 more$/,
    );
    for (const each of [whole, first, rest, none]) each.free();
  });

  it('begins anew where there is no checkpoint yet, and ends a run that was cut off at its very end', async () => {
    const path = join(folder, 'early');
    const whole = prepare(join(folder, 'whole'), { epochs: 2 });
    await train(whole.options);
    RunFolder.create(path, { name: 'test' }).appendEpoch({
      epoch: -1,
      metrics: null,
      seconds: { evaluate: 0 },
    });
    const rest = prepare(path, { epochs: 2, resume: true });
    await train(rest.options);
    const [a, b] = [join(folder, 'whole'), path].map((of) => withoutTimes(RunFolder.open(of).epochs()));
    expect(b).toEqual(a);
    const run = RunFolder.open(path);
    const { status, last } = run.summary()!;
    rmSync(run.summaryFile);
    const end = prepare(path, { epochs: 2, resume: true });
    await train(end.options);
    expect(run.summary()).toMatchObject({ status, last });
    const again = prepare(path, { epochs: 2, resume: true });
    await expect(train(again.options)).rejects.toThrow(/has trained its 2 epochs/);
    for (const each of [whole, rest, end, again]) each.free();
  });

  describe('a batch that is not finite', () => {
    /** Spoils the images of some steps, counted over the run. */
    const spoilt = (bad: (step: number) => boolean): TrainOptions['data'] => {
      const data = imagesData();
      let step = 0;
      return {
        ...data,
        trainPaths: Array.from(labels.keys(), (i) => `${i}.jpg`),
        async *augmented(...args) {
          for await (const batch of data.augmented(...args)) {
            if (bad(step++)) batch.images.mul_(Number.NaN);
            yield batch;
          }
        },
      };
    };
    it('stops the run with the step, the files and the last good checkpoint', async () => {
      const path = join(folder, 'nan');
      const { options, free } = prepare(path, { loop: { data: spoilt((step) => step === 5) } });
      await expect(train(options)).rejects.toThrow(
        /^epoch 2, step 2 of \d+: .* not finite.*, in the batch of \d+\.jpg, .* and 9 more in .*not-finite\.jsonl; the last good checkpoint is .*last\.safetensors; .*--on-nan skip/,
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
        const observer = { onNote: (text: string) => void notes.push(text) };
        const loop: Partial<TrainOptions> = { data: spoilt(bad), onNan: 'skip' };
        const { options, free } = prepare(path, { epochs, observer, loop });
        return await train(options).finally(free);
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
    const { options, free } = prepare(join(folder, 'collapsed'), {
      epochs: 1,
      loop: { learningRate: () => 0 },
    });
    noGrad(() => {
      for (const [name, parameter] of options.model.namedParameters())
        if (name.startsWith('embedding')) parameter.fill_(name.endsWith('bias') ? 1 : 0);
    });
    await train(options);
    expect(options.run.epochs().map(({ collapsed }) => collapsed)).toEqual([true, true]);
    free();
    const { options: healthy, free: freeHealthy } = prepare(join(folder, 'healthy'), { epochs: 1 });
    await train(healthy);
    expect(healthy.run.epochs().map(({ collapsed }) => collapsed)).toEqual([undefined, undefined]);
    freeHealthy();
  });

  it('chooses the best epoch on the validation classes where there are some', async () => {
    const path = join(folder, 'validated');
    const { options, free } = prepare(path);
    // Validation labels that the images contradict ever more: the first epochs look best on them.
    options.data.validationLabels = labels.map((_, i) => i % NUM_CLASSES);
    const summary = await train(options);
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

  it('begins to tell when the log holds what happened before, and then tells each line as it is logged', async () => {
    const path = join(folder, 'told');
    /** Has the log as it was at the start, and adds what it is told. */
    const follow = () => {
      const held: string[] = [];
      const hold = (kind: string, { epoch, step }: { epoch: number; step?: number }) =>
        held.push(`${kind} ${epoch}${step === undefined ? '' : ` ${step}`}`);
      const observer: TrainObserver = {
        onStart: () => {
          const run = RunFolder.open(path);
          for (const record of run.epochs()) hold('epoch', record);
          for (const record of run.steps()) hold('steps', record);
          for (const record of run.divisions()) hold('division', record);
        },
        onSteps: (record) => hold('steps', record),
        onDivision: (record) => hold('division', record),
        onEpochEnd: (record) => hold('epoch', record),
      };
      return { held, observer };
    };
    const logged = () => {
      const run = RunFolder.open(path);
      return [
        ...run.epochs().map(({ epoch }) => `epoch ${epoch}`),
        ...run.steps().map(({ epoch, step }) => `steps ${epoch} ${step}`),
        ...run.divisions().map(({ epoch }) => `division ${epoch}`),
      ].sort();
    };
    const first = follow();
    const abort = new AbortController();
    const stopped = prepare(path, {
      epochs: 3,
      signal: abort.signal,
      observer: {
        ...first.observer,
        onStep: ({ epoch, step }) => {
          if (epoch === 1 && step === 1) abort.abort();
        },
      },
    });
    await expect(train(stopped.options)).rejects.toThrow(Interrupted);
    stopped.free();
    expect(first.held.sort()).toEqual(logged());
    // The step that it was stopped after is not lost.
    expect(first.held).toContain('steps 1 1');

    const second = follow();
    const rest = prepare(path, { epochs: 3, resume: true, observer: second.observer });
    await train(rest.options);
    rest.free();
    expect(second.held.sort()).toEqual(logged());

    const third = follow();
    writeFileSync(RunFolder.open(path).lastCheckpoint, 'damaged');
    const again = prepare(path, { epochs: 4, resume: true, observer: third.observer });
    await train(again.options);
    again.free();
    expect(third.held.sort()).toEqual(logged());
  });

  it('logs steps and masks, keeps the best embeddings, and rewinds the logs of a run that goes on', async () => {
    const path = join(folder, 'logged');
    const first = prepare(path, { epochs: 3 });
    await train(first.options);
    first.free();
    const run = RunFolder.open(path);
    run.appendSteps({ ...(run.steps().at(-1) as StepRecord), epoch: 3 });
    const rest = prepare(path, { epochs: 4, resume: true });
    await train(rest.options);
    rest.free();
    const last = run.steps().filter(({ step, steps }) => step === steps - 1);
    expect(last.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
    expect(run.masks().map(({ epoch, masks }) => [epoch, masks.length, masks[0]?.length])).toEqual([
      [0, 1, 16],
      [1, 2, 16],
      [2, 4, 16],
      [3, 4, 16],
    ]);
    const { tensors, metadata } = readSafetensors(run.embeddingsFile);
    expect(metadata.epoch).toBe(String(run.summary()?.best?.epoch));
    expect(tensors.get('embeddings')?.shape).toEqual([labels.length, 16]);
    for (const value of tensors.values()) value.dispose();
  });

  it('with one learner never divides; compat dcesml goes on cluster by cluster', async () => {
    const one = prepare(join(folder, 'one'), { numLearners: 1, epochs: 2 });
    await train(one.options);
    expect(one.options.model.numLearners).toBe(1);
    const seen = new Set<number>();
    const compat = prepare(join(folder, 'compat'), {
      compat: 'dcesml',
      epochs: 5,
      observer: { onStep: ({ epoch, learner }) => void (epoch === 4 && seen.add(learner)) },
    });
    await train(compat.options);
    expect(seen.size).toBeGreaterThan(1);
    expect(RunFolder.open(join(folder, 'compat')).divisions().at(-1)?.epoch).toBe(4);
    for (const run of [one, compat]) run.free();
  });

  it('halves the learners bottom-up, and resumes in the middle of it', async () => {
    const options = { hierarchy: 'bottom-up', epochs: 3 } as const;
    const whole = prepare(join(folder, 'whole'), options);
    await train(whole.options);
    const first = prepare(join(folder, 'cut'), { ...options, epochs: 2 });
    await train(first.options);
    const rest = prepare(join(folder, 'cut'), { ...options, resume: true });
    await train(rest.options);
    const [a, b] = ['whole', 'cut'].map((name) => withoutTimes(RunFolder.open(join(folder, name)).epochs()));
    expect(a?.slice(1).map((record) => record.numLearners)).toEqual([4, 2, 1]);
    expect(b).toEqual(a);
    for (const run of [whole, first, rest]) run.free();
  });

  it('hands on how to cluster, and evaluates under the masks it is told to', async () => {
    const run = async (
      name: string,
      loop: Partial<TrainOptions>,
      hierarchy: 'none' | 'top-down' = 'none',
      numLearners = 4,
      fullEmbeddingMasks?: 'sum',
    ) => {
      const path = join(folder, name);
      const { options, free } = prepare(path, {
        epochs: 3,
        hierarchy,
        numLearners,
        fullEmbeddingMasks,
        loop,
      });
      await train(options);
      free();
      return RunFolder.open(path);
    };
    const plain = await run('plain', {});
    const seeds = [1, 2, 3, 4].map((clusterSeed) => run(`seed-${clusterSeed}`, { clusterSeed }));
    const sizes = (await Promise.all(seeds)).map((seeded) => JSON.stringify(seeded.divisions()[0]));
    expect(new Set(sizes).size).toBeGreaterThan(1);
    expect(JSON.stringify((await run('same', { clusterSeed: 1 })).divisions()[0])).toBe(sizes[0]);
    const moved = (of: RunFolder) => of.divisions().map((division) => division.moved);
    expect(moved(await run('random', { recluster: 'random' }))).not.toEqual(moved(plain));
    // Known centroids take no draws, so that all draws after the first division are others.
    const losses = async (name: string, loop: Partial<TrainOptions>) =>
      (await run(name, loop, 'none', 2)).epochs().map((record) => record.metricLoss);
    const anew = await losses('anew', {});
    const adaptive = await losses('adaptive', { clustering: 'adaptive-centroids' });
    expect(adaptive[1]).toBe(anew[1]);
    expect(adaptive[2]).not.toBe(anew[2]);

    const metrics = (of: RunFolder) => of.epochs().map((record) => record.metrics);
    const masked = await run('masked', {}, 'none', 4, 'sum');
    // While all masks are ones, their sum changes nothing; once they have trained it does.
    expect(metrics(masked)[0]).toEqual(metrics(plain)[0]);
    expect(metrics(masked).at(-1)).not.toEqual(metrics(plain).at(-1));

    const frozen = await run('frozen', { freezeMasksWithOneLearner: true }, 'top-down');
    expect(frozen.epochs().map((record) => record.learningRates?.masks === 0)).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});
