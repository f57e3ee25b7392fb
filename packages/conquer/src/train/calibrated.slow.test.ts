import { join } from 'node:path';
import { RunFolder, sha256OfFile } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { openEmoji } from '../datasets/emoji.js';
import { observedRate } from '../evaluate/calibrate.js';
import { openModel } from '../retrieve/open-model.js';
import { train } from './train.js';

// The thresholds that a run has at its end, of a share of the training classes that took no part, on the test classes.
it('on emoji, stated false-match rates hold on other classes', { timeout: 1_200_000 }, async () => {
  const run = join(temporaryFolder(), 'run');
  await train(
    {
      data: { dataset: { name: 'emoji' }, imageSize: 32, resize: 32, batchSize: 80, validationFraction: 0.5 },
      model: { backbone: { name: 'small-resnet' }, embeddingDim: 64 },
      divide: { numLearners: 1 },
      evaluate: { untrained: false },
      train: { epochs: 1 },
    },
    { run },
  );
  const folder = RunFolder.open(run);
  const calibration = folder.calibration(sha256OfFile(folder.bestCheckpoint))!;
  expect(calibration.source).toContain('validation classes');
  expect(calibration.thresholds.map(({ rate }) => rate)).toEqual([0.1, 0.01, 0.001, 0.0001]);
  const { test } = await openEmoji({});
  using model = await openModel(run);
  using rows = await model.embedTensor(test.paths);
  const observed = calibration.thresholds.map(({ rate, similarity, interval }) => ({
    rate,
    interval,
    observed: observedRate(rows, test.labels, similarity),
  }));
  for (const { interval, observed: share } of observed) {
    expect(share).toBeGreaterThanOrEqual(interval[0]);
    expect(share).toBeLessThanOrEqual(interval[1]);
  }
});
