import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, nn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import type { ExperimentWithOwnParts } from '../experiment/own-parts.js';
import { train } from './train.js';

const folder = temporaryFolder();
for (let label = 0; label < 8; label++) {
  mkdirSync(join(folder, `class-${label}`));
  for (let image = 0; image < 4; image++) {
    const fill = `<circle cx="20" cy="20" r="${8 + image}" fill="hsl(${label * 45},80%,50%)"/>`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">${fill}</svg>`;
    writeFileSync(join(folder, `class-${label}`, `${image}.svg`), svg);
  }
}

/** A network that says what it was given. */
class Watching extends nn.Module {
  readonly featureSize = 4;
  readonly linear = new nn.Linear(3, 4, { generator: new Generator(1) });
  readonly seen: [training: boolean, side: number][] = [];

  features(images: Tensor): Tensor {
    this.seen.push([this.training, images.size(3)]);
    return scope(() => this.linear.forward(images.mean([2, 3])));
  }
}

const experiment = (data: ExperimentWithOwnParts['data'], backbone: object): ExperimentWithOwnParts => ({
  data: {
    ...{ dataset: { name: 'folder', folder }, imageSize: 32, resize: 36, batchSize: 8, samplesPerClass: 2 },
    ...data,
  },
  model: { backbone: backbone as never, embeddingDim: 4 },
  divide: { numLearners: 1 },
  optimize: { learningRate: 1e-3 },
  train: { epochs: 4 },
  evaluate: { map: false },
});

it.each(['standard', 'icons', 'geom'] as const)(
  'training images of %s grow with the epochs; evaluation sees them whole',
  async (name) => {
    const backbone = new Watching();
    const run = join(temporaryFolder(), 'run');
    const data = { augmentation: { name }, imageSizeFrom: 16, imageSizeEpochs: 2 };
    await train(experiment(data, backbone), { run });
    const sides = (training: boolean) => [
      ...new Set(backbone.seen.flatMap(([trains, side]) => (trains === training ? [side] : []))),
    ];
    expect(sides(true)).toEqual([16, 24, 32]);
    expect(sides(false)).toContain(32);
    expect(sides(false).filter((side) => ![8, 32, 224].includes(side))).toEqual([]);
    expect(RunFolder.open(run).epochs()).toHaveLength(5);
  },
);

it.each([
  [{ imageSizeFrom: 40 }, /^data\.imageSizeFrom: expected at most data\.imageSize, 32, got 40$/],
  [{ imageSizeFrom: 8 }, /^data\.imageSizeFrom: .*expected images of .*16.*got 8×8/],
])('refuses %o before anything is written', async (data, message) => {
  const run = join(temporaryFolder(), 'run');
  const backbone = { name: 'vit_tiny_patch16_224.augreg_in21k' };
  await expect(train(experiment(data, backbone), { run })).rejects.toThrow(message);
  expect(RunFolder.exists(run)).toBe(false);
});
