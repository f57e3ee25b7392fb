import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import type { ExperimentInput } from '../experiment/experiment.js';
import { Interrupted } from '../interrupted.js';
import { type TrainRequest, train } from './train.js';

const [CLASSES, OF_CLASS, BATCH] = [150, 20, 40];
const STEPS = (CLASSES * OF_CLASS) / BATCH;
/** Long ago: a file system that keeps times of access (relatime does) notes the first read after that. */
const BEFORE = new Date('2001-01-01');

const forget = (files: readonly string[]) => {
  for (const file of files) utimesSync(file, BEFORE, BEFORE);
};

/** Which files somebody has read since, as the file system counts it. */
const readOf = (files: readonly string[]) =>
  files.filter((file) => statSync(file).atimeMs > BEFORE.getTime());

/** JPEGs of 8×8 pixels, each of a size of its own: of files of one size copies are looked for, which reads them. */
async function writeImages(folder: string): Promise<string[]> {
  const plain = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#38a' } })
    .jpeg()
    .toBuffer();
  return Array.from({ length: CLASSES * OF_CLASS }, (_, n) => {
    const comment = Buffer.alloc(4 + n);
    comment.writeUInt16BE(0xfffe);
    comment.writeUInt16BE(2 + n, 2);
    const inside = join(folder, `class ${String(Math.floor(n / OF_CLASS)).padStart(3, '0')}`);
    mkdirSync(inside, { recursive: true });
    const file = join(inside, `${n}.jpg`);
    writeFileSync(file, Buffer.concat([plain.subarray(0, 2), comment, plain.subarray(2)]));
    return file;
  });
}

function keepsTimesOfAccess(): boolean {
  const file = join(temporaryFolder(), 'probe');
  writeFileSync(file, 'x');
  forget([file]);
  readFileSync(file);
  return readOf([file]).length === 1;
}

it.skipIf(!keepsTimesOfAccess())(
  'a run that goes on in the middle of an epoch reads the images of the rest of it, each once, and no other',
  async () => {
    const folder = temporaryFolder();
    const files = await writeImages(join(folder, 'images'));
    const experiment: ExperimentInput = {
      data: {
        dataset: { name: 'folder', folder: join(folder, 'images') },
        trainOn: 'all',
        sampler: { name: 'random' },
        imageSize: 8,
        resize: 8,
        batchSize: BATCH,
      },
      model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 8 },
      loss: { name: 'normalized-softmax' },
      divide: { numLearners: 1 },
      optimize: { lossLearningRate: 1e-3 },
      train: { epochs: 1 },
    };
    const run = join(folder, 'run');
    const stop = new AbortController();
    const stopAfter = (STEPS * 2) / 3;
    const once = async (request: Partial<TrainRequest>) => {
      const steps: number[] = [];
      const onStep = ({ step }: { step: number }) => {
        steps.push(step);
        if (step + 1 === stopAfter) stop.abort();
      };
      const ended = await train(experiment, { run, observer: { onStep }, cached: false, ...request }).catch(
        (error: unknown) => error,
      );
      return { steps, ended };
    };

    forget(files);
    const first = await once({ signal: stop.signal });
    expect(first.ended).toBeInstanceOf(Interrupted);
    expect(first.steps).toHaveLength(stopAfter);
    const before = new Set(readOf(files));
    // Three batches are read ahead.
    expect(before.size).toBeGreaterThanOrEqual(stopAfter * BATCH);
    expect(before.size).toBeLessThanOrEqual((stopAfter + 3) * BATCH);

    forget(files);
    const rest = await once({ resume: true });
    expect(rest.steps).toEqual(Array.from({ length: STEPS - stopAfter }, (_, i) => stopAfter + i));
    const after = readOf(files);
    expect(after).toHaveLength((STEPS - stopAfter) * BATCH);
    // An epoch has each image once: what was read again is what had been read ahead.
    expect(after.filter((file) => before.has(file)).length).toBe(before.size - stopAfter * BATCH);
  },
);
