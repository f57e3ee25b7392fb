import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EpochRecord, RunFolder, type StepRecord } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, readSafetensors } from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildLearningRates } from '../experiment/build.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { Interrupted } from '../interrupted.js';
import { labels, type SmallSession, smallSession } from '../testing/small-session.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { runEpochs } from './loop.js';
import type { TrainObserver } from './observer.js';

describe('a run that is stopped', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder();
  });

  const withoutTimes = (records: EpochRecord[]) => records.map(({ seconds: _, ...record }) => record);

  it('resumed, gives the numbers of a run that was never interrupted', async () => {
    const whole = smallSession(join(folder, 'whole'));
    await runEpochs(whole.parts);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const x = loadCheckpoint(a.lastCheckpoint);
    for (const stopAfter of [1, 3, 5]) {
      const path = join(folder, `cut${stopAfter}`);
      const first = smallSession(path, { epochs: stopAfter });
      await runEpochs(first.parts);
      first.free();
      const second = smallSession(path, { resume: true });
      await runEpochs(second.parts);
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
    const first = smallSession(path, {
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
    await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
    expect(RunFolder.open(path).summary()?.status).toBe('stopped');
    const rest = smallSession(path, { resume: true, observer: { onStep: () => void steps++ } });
    await runEpochs(rest.parts);
    for (const run of [first, rest]) run.free();
    expect(liveTensors()).toBeLessThan(alive);
    return { run: RunFolder.open(path), steps };
  };

  it('stopped anywhere, loses no step and changes no number', async () => {
    let steps = 0;
    const whole = smallSession(join(folder, 'whole'), { observer: { onStep: () => void steps++ } });
    await runEpochs(whole.parts);
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

  it('changes no number of averaged weights, warm-up, drop path, clipping, layer decay, or another head', async () => {
    const experiment: ExperimentInput = {
      model: {
        backbone: { name: 'small-resnet', widths: [8, 16], dropPath: 0.3 },
        head: { name: 'bnneck' },
        pooling: 'gem',
      },
      optimize: {
        optimizer: { name: 'adamw' },
        schedule: { name: 'cosine', lastFactor: 0.1 },
        warmupEpochs: 1.5,
        warmupFrom: 0,
        layerDecay: 0.7,
        clipNorm: 0.5,
        ema: { decay: 0.95 },
      },
    };
    const session = (path: string, others: SmallSession = {}) => {
      const made = smallSession(join(folder, path), { epochs: 4, experiment, ...others });
      const learningRate = buildLearningRates(made.parts.experiment);
      return { ...made, parts: { ...made.parts, learningRate } };
    };
    const whole = session('whole');
    await runEpochs(whole.parts);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const x = loadCheckpoint(a.lastCheckpoint);
    // What is evaluated and kept is not what trains.
    expect([...x.trained!.keys()]).toEqual([...x.model.keys()]);
    expect(x.trained!.get('embedding.weight')!.tolist()).not.toEqual(
      x.model.get('embedding.weight')!.tolist(),
    );
    const moments: [number, number][] = [
      [0, 2],
      [1, 0],
      [2, 1],
    ];
    for (const [epochOfStop, stepOfStop] of moments) {
      const stop = new AbortController();
      const onStep: TrainObserver['onStep'] = ({ epoch, step }) => {
        if (epoch === epochOfStop && step === stepOfStop) stop.abort();
      };
      const path = `cut-${epochOfStop}`;
      const first = session(path, { signal: stop.signal, observer: { onStep } });
      await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
      first.free();
      const rest = session(path, { resume: true });
      await runEpochs(rest.parts);
      rest.free();
      const b = RunFolder.open(join(folder, path));
      expect(withoutTimes(b.epochs())).toEqual(withoutTimes(a.epochs()));
      const y = loadCheckpoint(b.lastCheckpoint);
      for (const part of ['model', 'trained', 'optimizer'] as const)
        for (const [name, value] of x[part]!)
          expect(y[part]!.get(name)?.tolist(), `${part}.${name}`).toEqual(value.tolist());
      expect(y.state.average).toEqual(x.state.average);
      expect(y.state.generator).toBe(x.state.generator);
      expect(readFileSync(b.embeddingsFile)).toEqual(readFileSync(a.embeddingsFile));
      disposeCheckpoint(y);
    }
    expect(x.state.average!.steps).toBe(a.epochs().reduce((sum, { steps = 0 }) => sum + steps, 0));
    disposeCheckpoint(x);
  });

  it.each<[string, ExperimentInput['model']]>([
    [
      'lora',
      {
        tuning: { name: 'lora', rank: 2, dropout: 0.2 },
        head: { name: 'mlp', hidden: [12], neck: 'batch-norm' },
      },
    ],
    ['prompts', { tuning: { name: 'prompts', count: 2 }, head: { name: 'linear', neck: 'layer-norm' } }],
    ['full', { tuning: { name: 'full', freezeBelow: 11 } }],
  ])(
    'a vision transformer that learns by %s goes on as if it had never been stopped',
    async (name, model) => {
      const experiment: ExperimentInput = {
        model: { ...model, backbone: { name: 'vit_tiny_patch16_224.augreg_in21k', dropPath: 0.2 } },
        optimize: { ema: { decay: 0.9 }, layerDecay: 0.8 },
        divide: { numLearners: 2 },
      };
      const session = (path: string, others: SmallSession = {}) =>
        smallSession(join(folder, path), { epochs: 2, experiment, ...others });
      const whole = session('whole');
      const names = whole.parts.model.backbone
        .parameters()
        .filter(({ requiresGrad }) => !requiresGrad).length;
      expect(names).toBeGreaterThan(100);
      await runEpochs(whole.parts);
      whole.free();
      const stop = new AbortController();
      const onStep: TrainObserver['onStep'] = ({ epoch, step }) => {
        if (epoch === 1 && step === 1) stop.abort();
      };
      const first = session('cut', { signal: stop.signal, observer: { onStep } });
      await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
      first.free();
      const rest = session('cut', { resume: true });
      await runEpochs(rest.parts);
      rest.free();
      const [a, b] = ['whole', 'cut'].map((path) => RunFolder.open(join(folder, path))) as [
        RunFolder,
        RunFolder,
      ];
      expect(withoutTimes(b.epochs()), name).toEqual(withoutTimes(a.epochs()));
      const bytes = (run: RunFolder) => {
        const { model, trained, optimizer, ...others } = loadCheckpoint(run.lastCheckpoint);
        const hash = createHash('sha256');
        for (const part of [model, trained!, optimizer])
          for (const [own, value] of part)
            hash.update(own).update(new Uint8Array(value.toTypedArray().buffer));
        disposeCheckpoint({ model, trained: trained!, optimizer, ...others });
        return hash.digest('hex');
      };
      expect(bytes(b)).toBe(bytes(a));
    },
  );

  it('that draws by how difficult images are goes on as if it had never been stopped', async () => {
    const experiment = { data: { sampler: { name: 'hard-images' } } } as const;
    const [start, middle] = [1, 2].map(
      (epoch) =>
        (stop: () => void): TrainObserver => ({
          onStep: (info) => {
            if (info.epoch === epoch && info.step === 1) stop();
          },
        }),
    ) as [(stop: () => void) => TrainObserver, (stop: () => void) => TrainObserver];
    const whole = smallSession(join(folder, 'whole'), { experiment, epochs: 4 });
    await runEpochs(whole.parts);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    for (const [name, observer] of Object.entries({ start, middle })) {
      const path = join(folder, name);
      const signal = new AbortController();
      const first = smallSession(path, {
        experiment,
        epochs: 4,
        signal: signal.signal,
        observer: observer(() => signal.abort()),
      });
      await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
      first.free();
      const second = smallSession(path, { experiment, epochs: 4, resume: true });
      await runEpochs(second.parts);
      second.free();
      expect(withoutTimes(RunFolder.open(path).epochs())).toEqual(withoutTimes(a.epochs()));
    }
  });

  it('stopped within a clustering or a search for neighbours, changes no number', async () => {
    // A signal that is given at the n-th time it is asked; without n it notes when such work asks.
    const asked = (n: number, inWork: number[] = []) => {
      let asks = 0;
      const aborted = () => {
        asks++;
        if (n === 0 && /src\/(clustering|neighbours)\//.test(new Error().stack ?? '')) inWork.push(asks);
        return asks === n;
      };
      return Object.defineProperty(new AbortController().signal, 'aborted', { get: aborted });
    };
    const inWork: number[] = [];
    const whole = smallSession(join(folder, 'whole'), { epochs: 5, signal: asked(0, inWork) });
    await runEpochs(whole.parts);
    whole.free();
    const a = RunFolder.open(join(folder, 'whole'));
    const expected = loadCheckpoint(a.lastCheckpoint);
    expect(inWork.length).toBeGreaterThan(100);
    for (let stop = 0; stop < 8; stop++) {
      const n = inWork[Math.floor((inWork.length * stop) / 8)]!;
      const path = join(folder, `stop-${n}`);
      const first = smallSession(path, { epochs: 5, signal: asked(n) });
      await expect(runEpochs(first.parts), `at ${n}`).rejects.toThrow(Interrupted);
      first.free();
      const rest = smallSession(path, { epochs: 5, resume: true });
      await runEpochs(rest.parts);
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

  it('goes on from the checkpoint before, where the last one is damaged', async () => {
    const path = join(folder, 'damaged');
    const whole = smallSession(join(folder, 'whole'), { epochs: 4 });
    await runEpochs(whole.parts);
    const first = smallSession(path, { epochs: 3 });
    await runEpochs(first.parts);
    const run = RunFolder.open(path);
    const bytes = readFileSync(run.lastCheckpoint);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(run.lastCheckpoint, bytes);
    const notes: string[] = [];
    const rest = smallSession(path, {
      epochs: 4,
      resume: true,
      observer: { onWarning: (text) => notes.push(text) },
    });
    await runEpochs(rest.parts);
    expect(notes).toEqual([expect.stringMatching(/last\.safetensors: damaged: its checksum is/)]);
    const [a, b] = [join(folder, 'whole'), path].map((of) => withoutTimes(RunFolder.open(of).epochs()));
    expect(b).toEqual(a);
    for (const file of run.resumable) writeFileSync(file, bytes.subarray(0, 1000));
    const none = smallSession(path, { epochs: 5, resume: true });
    await expect(runEpochs(none.parts)).rejects.toThrow(
      /^no checkpoint of the run can be used; remove them to begin anew: .*last\.safetensors.*; and 2 more$/,
    );
    for (const each of [whole, first, rest, none]) each.free();
  });

  it('begins anew where there is no checkpoint yet, and ends a run that was cut off at its very end', async () => {
    const path = join(folder, 'early');
    const whole = smallSession(join(folder, 'whole'), { epochs: 2 });
    await runEpochs(whole.parts);
    RunFolder.create(path, whole.parts.experiment).appendEpoch({
      epoch: -1,
      metrics: null,
      seconds: { evaluate: 0 },
    });
    const rest = smallSession(path, { epochs: 2, resume: true });
    await runEpochs(rest.parts);
    const [a, b] = [join(folder, 'whole'), path].map((of) => withoutTimes(RunFolder.open(of).epochs()));
    expect(b).toEqual(a);
    const run = RunFolder.open(path);
    const { status, last } = run.summary()!;
    rmSync(run.summaryFile);
    const end = smallSession(path, { epochs: 2, resume: true });
    await runEpochs(end.parts);
    expect(run.summary()).toMatchObject({ status, last });
    const again = smallSession(path, { epochs: 2, resume: true });
    await expect(runEpochs(again.parts)).rejects.toThrow(/has trained its 2: to go on/);
    for (const each of [whole, rest, end, again]) each.free();
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
    const stopped = smallSession(path, {
      epochs: 3,
      signal: abort.signal,
      observer: {
        ...first.observer,
        onStep: ({ epoch, step }) => {
          if (epoch === 1 && step === 1) abort.abort();
        },
      },
    });
    await expect(runEpochs(stopped.parts)).rejects.toThrow(Interrupted);
    stopped.free();
    expect(first.held.sort()).toEqual(logged());
    // The step that it was stopped after is not lost.
    expect(first.held).toContain('steps 1 1');

    const second = follow();
    const rest = smallSession(path, { epochs: 3, resume: true, observer: second.observer });
    await runEpochs(rest.parts);
    rest.free();
    expect(second.held.sort()).toEqual(logged());

    const third = follow();
    writeFileSync(RunFolder.open(path).lastCheckpoint, 'damaged');
    const again = smallSession(path, { epochs: 4, resume: true, observer: third.observer });
    await runEpochs(again.parts);
    again.free();
    expect(third.held.sort()).toEqual(logged());
  });

  it('logs steps and masks, keeps the best embeddings, and rewinds the logs of a run that goes on', async () => {
    const path = join(folder, 'logged');
    const first = smallSession(path, { epochs: 3 });
    await runEpochs(first.parts);
    first.free();
    const run = RunFolder.open(path);
    run.appendSteps({ ...(run.steps().at(-1) as StepRecord), epoch: 3 });
    const rest = smallSession(path, { epochs: 4, resume: true });
    await runEpochs(rest.parts);
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

  it('halves the learners bottom-up, and resumes in the middle of it', async () => {
    const options = {
      experiment: { divide: { hierarchy: 'bottom-up' } },
      epochs: 3,
    } as const;
    const whole = smallSession(join(folder, 'whole'), options);
    await runEpochs(whole.parts);
    const first = smallSession(join(folder, 'cut'), { ...options, epochs: 2 });
    await runEpochs(first.parts);
    const rest = smallSession(join(folder, 'cut'), { ...options, resume: true });
    await runEpochs(rest.parts);
    const [a, b] = ['whole', 'cut'].map((name) => withoutTimes(RunFolder.open(join(folder, name)).epochs()));
    expect(a?.slice(1).map((record) => record.numLearners)).toEqual([4, 2, 1]);
    expect(b).toEqual(a);
    for (const run of [whole, first, rest]) run.free();
  });
});
