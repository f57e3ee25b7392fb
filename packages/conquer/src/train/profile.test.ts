import type { EpochProfile } from '@conquer-dml/run';
import { Generator, randn } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { profileTable } from '../cli/profile-table.js';
import { embedImages } from '../evaluate/embed.js';
import { MarginLoss } from '../losses/margin.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { createModel } from '../models/create-model.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { Random } from '../random.js';
import { Profile } from './profile.js';
import { TrainingStep } from './step.js';

const sum = (parts: Record<string, number>) => Object.values(parts).reduce((total, part) => total + part, 0);

function prepare(profile?: Profile) {
  const generator = new Generator(1);
  const model = createModel(
    { name: 'small-resnet', widths: [8, 16] },
    { embeddingDim: 8, dropout: 0, generator },
  );
  const loss = new MarginLoss();
  const optimizer = new TrainingOptimizer(model, loss, { learningRate: 1e-3 });
  const miner = new DistanceWeightedMiner({ random: new Random(1) });
  const step = new TrainingStep({ model, loss, miner, optimizer, maskLambda: 0.1, profile });
  const images = randn([16, 3, 32, 32], { generator });
  const labels = Int32Array.from({ length: 16 }, (_, i) => i >> 2);
  return { model, images, run: () => step.run({ images, labels, learner: 0, fullEmbedding: false }) };
}

it('gives every moment of the steps to one part', () => {
  const profile = new Profile();
  const { run } = prepare(profile);
  run();
  profile.take();
  const start = performance.now();
  profile.start();
  for (let i = 0; i < 5; i++) {
    profile.lap('data');
    run();
    profile.endStep();
  }
  const seconds = (performance.now() - start) / 1000;
  const { steps, step } = profile.take();
  expect(steps).toBe(5);
  expect(sum(step)).toBeLessThanOrEqual(seconds);
  expect(sum(step)).toBeGreaterThan(0.9 * seconds);
  for (const part of ['forward', 'mining', 'loss', 'backward', 'optimizer'] as const)
    expect(step[part]).toBeGreaterThan(0);
  expect(step.forward + step.backward).toBeGreaterThan(0.3 * seconds);
  // Taken: the next epoch starts from nothing.
  expect(sum(profile.take().step)).toBe(0);
});

it('trains the same with and without', () => {
  const plain = prepare();
  const measured = prepare(new Profile());
  for (let i = 0; i < 3; i++) expect(measured.run()).toEqual(plain.run());
});

it('takes the embedding of images from the phase that asked for it', async () => {
  const profile = new Profile();
  const { model, images } = prepare();
  async function* batches() {
    yield { images: images.clone() };
  }
  (await embedImages(model, batches(), { profile })).dispose();
  profile.endPhase('evaluate', 10);
  profile.endPhase('divide', 2);
  const { epoch } = profile.take();
  expect(epoch.embed).toBeGreaterThan(0);
  expect(epoch.evaluate).toBe(10 - epoch.embed);
  expect(epoch.divide).toBe(2);
});

it('is a table of a mean step and of the epoch', () => {
  const profile: EpochProfile = {
    steps: 4,
    step: { data: 0, forward: 0.1, mining: 0, loss: 0.02, backward: 0.28, optimizer: 0, other: 0 },
    epoch: { train: 0.5, divide: 0, embed: 0.3, evaluate: 0.2 },
  };
  const lines = profileTable(profile).split('\n');
  const cells = (line: string | undefined) => line?.split('│').map((cell) => cell.trim());
  expect(cells(lines[1])?.slice(2, 4)).toEqual(['waiting for data', 'forward']);
  expect(cells(lines[3])?.slice(1, -1)).toEqual([
    'ms a step',
    ...['0.00', '25.0', '0.00', '5.00', '70.0', '0.00', '0.00', '100.0'],
  ]);
  expect(lines.find((line) => line.includes('s an epoch'))).toContain('0.30');
  expect(lines.at(-2)).toMatch(/%.*50\.0.*0\.0.*30\.0.*20\.0.*100\.0/);
});
