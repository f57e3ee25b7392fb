import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { DIVIDED_FROM } from '../divide/usual-division.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { train } from './train.js';

const [SIDE, ACROSS] = [16, 40];
/** Two boxes each. */
const CLASSES = DIVIDED_FROM + 8;

let folder: string;
/** A picture of squares, each of which is an image: what division goes by is how many classes train. */
beforeAll(async () => {
  folder = temporaryFolder();
  const down = Math.ceil((2 * CLASSES) / ACROSS);
  const pixels = Buffer.from({ length: down * ACROSS * SIDE * SIDE * 3 });
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [Math.floor(i / 3 / SIDE) % ACROSS, Math.floor(i / 3 / SIDE / SIDE / ACROSS)];
    const label = (y * ACROSS + x) >> 1;
    pixels[i] = (label * 37 * ((i % 3) + 1) + ((i * 31) % 23)) % 256;
  }
  const raw = { width: ACROSS * SIDE, height: down * SIDE, channels: 3 } as const;
  await sharp(pixels, { raw }).png().toFile(join(folder, 'squares.png'));
});

function squares(classes: number): string {
  const file = join(folder, `${classes}.csv`);
  const lines = Array.from({ length: 2 * CLASSES }, (_, i) => {
    const label = i >> 1;
    const split = label < classes ? 'train' : 'test';
    return `squares.png,${(i % ACROSS) * SIDE},${Math.floor(i / ACROSS) * SIDE},${SIDE},${SIDE},c${label},${split}`;
  });
  writeFileSync(file, ['path,x,y,w,h,label,split', ...lines].join('\n'));
  return file;
}

const experiment = (file: string, epochs: number, divide: ExperimentInput['divide']): ExperimentInput => ({
  data: { dataset: { name: 'csv', file }, imageSize: 16, resize: 16, batchSize: 160, samplesPerClass: 2 },
  model: { backbone: { name: 'small-resnet', widths: [4] }, embeddingDim: 8 },
  loss: { name: 'multi-similarity' },
  divide,
  train: { epochs, threads: 1 },
  evaluate: { untrained: false, map: false },
});

async function trained(name: string, given: ExperimentInput, resume = false) {
  const notes: string[] = [];
  const run = join(folder, name);
  await train(given, { run, resume, observer: { onNote: (text) => notes.push(text), onWarning() {} } });
  const { divide } = RunFolder.open(run).experiment();
  const learners = RunFolder.open(run)
    .epochs()
    .map(({ numLearners }) => numLearners);
  return { notes, divide, learners };
}

it('many classes are divided from a well-trained start, which the run keeps', async () => {
  const given = experiment(squares(DIVIDED_FROM), 5, { modEpoch: 1 });
  const { notes, divide, learners } = await trained('many', given);
  expect(learners).toEqual([1, 1, 1, 2, 4]);
  expect(divide).toMatchObject({ numLearners: 4, divideFrom: 2 });
  expect(notes).toContainEqual(
    expect.stringMatching(/^one learner for 2 of 5 epochs, then up to 4: 640 classes /),
  );
});

it('fewer have one learner, unless somebody asks for more', async () => {
  const file = squares(DIVIDED_FROM - 1);
  const { notes, divide, learners } = await trained('few', experiment(file, 1, {}));
  expect(learners).toEqual([1]);
  expect(divide).toMatchObject({ numLearners: 1, divideFrom: 0 });
  expect(notes).toContainEqual(expect.stringMatching(/^one learner: 639 classes train, /));
  const asked = await trained('asked', experiment(file, 1, { numLearners: 2, startLearners: 2 }));
  expect(asked.learners).toEqual([2]);
});

it('a run that goes on for longer is divided from where it was', async () => {
  const file = squares(12);
  const divide = { numLearners: 2, modEpoch: 1 };
  const before = await trained('longer', experiment(file, 3, divide));
  expect(before.divide).toMatchObject({ divideFrom: 1 });
  const { learners, divide: after, notes } = await trained('longer', experiment(file, 8, divide), true);
  expect(after).toEqual(before.divide);
  expect(learners).toEqual([1, 1, 2, 2, 2, 2, 2, 2]);
  expect(notes.filter((note) => note.includes('learner'))).toEqual([]);
});
