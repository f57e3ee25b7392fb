import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { cat, Generator, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { Interrupted } from '../interrupted.js';
import { embedWhole } from '../optimize/batch-embedder.js';
import { GradientCache } from '../optimize/gradient-cache.js';
import type { Precision } from '../precision.js';
import { type SmallSession, smallSession } from '../testing/small-session.js';
import { disposeCheckpoint, loadCheckpoint } from './checkpoint.js';
import { runEpochs } from './loop.js';
import type { TrainObserver } from './observer.js';

const session = (path: string, precision: Precision, { experiment = {}, ...others }: SmallSession = {}) =>
  smallSession(path, { epochs: 4, ...others, experiment: { ...experiment, train: { precision } } });

async function trained(precision: Precision): Promise<{ run: RunFolder; losses: number[] }> {
  const losses: number[] = [];
  const onStep: TrainObserver['onStep'] = ({ result }) => void losses.push(result.metricLoss ?? 0);
  const path = join(temporaryFolder(), precision);
  const made = session(path, precision, { observer: { onStep } });
  await runEpochs(made.parts);
  made.free();
  return { run: RunFolder.open(path), losses };
}

it('a run in bfloat16 has the losses of float32 at first, its Recall in the end, and weights of float32', async () => {
  const [whole, half] = [await trained('float32'), await trained('bfloat16')];
  const first = (losses: number[]) => losses.slice(0, 3);
  for (const [i, loss] of first(half.losses).entries())
    expect(Math.abs(loss - whole.losses[i]!)).toBeLessThan(0.02 * Math.abs(whole.losses[i]!));
  expect(first(half.losses)).not.toEqual(first(whole.losses));
  const recall = ({ run }: { run: RunFolder }) =>
    Math.max(...run.epochs().map(({ metrics }) => metrics!['R@1']!));
  const before = whole.run.epochs()[0]!.metrics!['R@1']!;
  expect(recall(whole)).toBeGreaterThan(before + 0.1);
  expect(recall(half)).toBeGreaterThan(recall(whole) - 0.05);
  const checkpoint = loadCheckpoint(half.run.lastCheckpoint);
  for (const part of ['model', 'optimizer'] as const)
    for (const [name, { dtype }] of checkpoint[part]) expect(dtype, name).not.toBe('bfloat16');
  disposeCheckpoint(checkpoint);
});

it('a run in bfloat16 that is stopped goes on as if it had not been', async () => {
  const folder = temporaryFolder();
  const whole = session(join(folder, 'whole'), 'bfloat16');
  await runEpochs(whole.parts);
  whole.free();
  const stop = new AbortController();
  const onStep: TrainObserver['onStep'] = ({ epoch, step }) => {
    if (epoch === 1 && step === 1) stop.abort();
  };
  const first = session(join(folder, 'cut'), 'bfloat16', { signal: stop.signal, observer: { onStep } });
  await expect(runEpochs(first.parts)).rejects.toThrow(Interrupted);
  first.free();
  const rest = session(join(folder, 'cut'), 'bfloat16', { resume: true });
  await runEpochs(rest.parts);
  rest.free();
  const [a, b] = ['whole', 'cut'].map((path) =>
    loadCheckpoint(RunFolder.open(join(folder, path)).lastCheckpoint),
  );
  for (const part of ['model', 'optimizer'] as const)
    for (const [name, value] of a![part]) expect(b![part].get(name)?.tolist(), name).toEqual(value.tolist());
  for (const checkpoint of [a!, b!]) disposeCheckpoint(checkpoint);
});

it('a gradient cache in bfloat16 has the gradients of the whole batch, but for the rounding of other sums', () => {
  const made = session(join(temporaryFolder(), 'run'), 'bfloat16', {
    experiment: { model: { backbone: { name: 'small-resnet', widths: [8, 16] }, batchNorm: 'frozen' } },
  });
  const { model } = made.parts;
  const generator = new Generator(9);
  const gradients = (chunk: number): Tensor =>
    scope(() => {
      model.zeroGrad();
      const images = randn([12, 3, 16, 16], { generator: new Generator(2) });
      const { rows, backward } =
        chunk === 12 ? embedWhole(model, images) : new GradientCache(model, chunk, generator).embed(images);
      expect(rows.dtype).toBe('float32');
      backward(rows.mul(randn(rows.shape, { generator: new Generator(3) })).sum());
      return cat(model.backbone.parameters().map(({ grad }) => (grad as Tensor).flatten()));
    });
  model.eval();
  scope(() => {
    const [whole, chunked] = [gradients(12), gradients(4)];
    expect(chunked.sub(whole).norm().item()).toBeLessThan(0.03 * whole.norm().item());
  });
  made.free();
});

it('embeds in the precision of its backbone, folded or not', () => {
  const made = session(join(temporaryFolder(), 'run'), 'bfloat16');
  const { model } = made.parts;
  scope(() => {
    model.eval();
    const images = randn([4, 3, 16, 16], { generator: new Generator(2) });
    const half = model.embed(images);
    model.backbone.precision = 'float32';
    const whole = model.embed(images);
    expect(half.dtype).toBe('float32');
    const least = half.mul(whole).sum(1).min().item();
    expect(least).toBeGreaterThan(0.999);
    expect(half.tolist()).not.toEqual(whole.tolist());
  });
  made.free();
});
