import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { oddSizes, writeNoise } from '@conquer-dml/testing/noise';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { readSafetensors } from '@conquer-dml/torch';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { resolveExperiment } from '../experiment/resolve.js';
import { openModel } from '../retrieve/open-model.js';
import { evaluateRun } from '../train/evaluate-run.js';
import { train } from '../train/train.js';

let folder: string;
beforeAll(async () => {
  folder = temporaryFolder();
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
  mkdirSync(join(folder, 'images'));
  const lines: string[] = [];
  for (const [i, part] of ['train,', 'train,', 'test,query', 'test,gallery'].entries()) {
    for (let j = 0; j < 12; j++) {
      const [width, height] = oddSizes[j % oddSizes.length]!;
      const name = `images/${i}-${j}.${j % 2 ? 'png' : 'jpg'}`;
      await writeNoise(join(folder, name), width, height, i * 77 + j * 13);
      lines.push(`${name},${i < 2 ? `a${i}` : `b${j % 2}`},${part}`);
    }
  }
  writeFileSync(join(folder, 'list.csv'), `path,label,split,part\n${lines.join('\n')}\n`);
});
afterAll(() => {
  vi.unstubAllEnvs();
});

const augmentations = ['standard', 'geom', 'icons', 'none'] as const;
it.each(augmentations.flatMap((name) => [true, false].map((cache) => ({ augmentation: name, cache }))))(
  'a run, conquer eval and openModel embed alike: $augmentation, cache $cache',
  async ({ augmentation, cache }) => {
    const name = `${augmentation}-${cache}`;
    const path = join(folder, 'runs', name);
    const experiment = resolveExperiment({
      data: {
        dataset: { name: 'csv', file: folder },
        imageSize: 24,
        resize: 28,
        batchSize: 8,
        samplesPerClass: 2,
        augmentation: { name: augmentation },
        cache,
      },
      model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 8 },
      divide: { numLearners: 2 },
      train: { epochs: 2 },
    });
    const { best } = await train(experiment, { run: path });
    const run = RunFolder.open(path);
    const { queries, gallery } = run.testImages();
    const { tensors } = readSafetensors(run.embeddingsFile);
    using model = await openModel(path);
    for (const [part, list] of Object.entries({ embeddings: queries, gallery_embeddings: gallery! })) {
      using found = await model.embedTensor(list.paths);
      using difference = found.sub(tensors.get(part)!).abs().max();
      expect(difference.item()).toBeLessThan(1e-6);
    }
    for (const value of tensors.values()) value.dispose();
    for (const cached of [experiment.data.cache, false]) {
      const { metrics } = await evaluateRun(path, experiment, { checkpoint: 'best', cached });
      // NMI draws more seeds here, and AMI and the objective are measured here alone.
      const ranks = Object.entries(metrics).filter(([metric]) => !/^(NMI|AMI|k-means)/.test(metric));
      expect(ranks.length).toBeGreaterThan(2);
      for (const [metric, value] of ranks) expect(value, metric).toBeCloseTo(best!.metrics[metric]!, 6);
    }
  },
);
