import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { RunFolder } from '@conquer/run';
import { readSafetensors } from '@conquer/torch';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TrainedModel } from '../retrieve/trained-model.js';
import { evaluateRun } from './eval.js';
import { resolveSettings } from './options.js';
import { runTraining } from './train.js';

let folder: string;
const shapes = [
  [26, 26],
  [41, 29],
  [33, 64],
  [20, 61],
  [300, 211],
  [64, 64],
] as const;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-same-pixels-'));
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
  mkdirSync(join(folder, 'images'));
  const lines: string[] = [];
  for (const [i, part] of ['train,', 'train,', 'test,query', 'test,gallery'].entries()) {
    for (let j = 0; j < 12; j++) {
      const [width, height] = shapes[j % shapes.length]!;
      const noise = Uint8Array.from(
        { length: width * height * 3 },
        (_, at) => (at * at * 31 + i * 77 + j * 13) % 251,
      );
      const name = `images/${i}-${j}.${j % 2 ? 'png' : 'jpg'}`;
      await sharp(noise, { raw: { width, height, channels: 3 } }).toFile(join(folder, name));
      lines.push(`${name},${i < 2 ? `a${i}` : `b${j % 2}`},${part}`);
    }
  }
  writeFileSync(join(folder, 'list.csv'), `path,label,split,part\n${lines.join('\n')}\n`);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const augmentations = ['standard', 'geom', 'icons', 'none'];
it.each(augmentations.flatMap((name) => ['yes', 'no'].map((cache) => [name, cache])))(
  'a run, conquer eval and TrainedModel embed alike: --augmentation %s --cache %s',
  async (augmentation, cache) => {
    const name = `${augmentation}-${cache}`;
    const settings = resolveSettings({
      dataset: 'csv',
      'dataset-dir': folder,
      arch: 'small-resnet',
      widths: '4,8',
      bn: 'trained',
      'embedding-dim': 8,
      'image-size': 24,
      resize: 28,
      'num-learners': 2,
      'batch-size': 8,
      'samples-per-class': 2,
      lr: 0.001,
      epochs: 2,
      'runs-dir': join(folder, 'runs'),
      name,
      augmentation,
      cache,
    });
    const out = new PassThrough().resume();
    const { best } = await runTraining({ settings, resume: false, profile: false, events: undefined, out });
    const path = join(folder, 'runs', name);
    const run = RunFolder.open(path);
    const { queries, gallery } = run.testImages();
    const { tensors } = readSafetensors(run.embeddingsFile);
    using model = TrainedModel.open(path);
    for (const [part, list] of Object.entries({ embeddings: queries, gallery_embeddings: gallery! })) {
      using found = await model.embed(list.paths);
      using difference = found.sub(tensors.get(part)!).abs().max();
      expect(difference.item()).toBeLessThan(1e-6);
    }
    for (const value of tensors.values()) value.dispose();
    for (const given of [{}, { cache: 'no' }]) {
      const { metrics } = await evaluateRun({ run: path, checkpoint: 'best', given, out });
      // NMI draws more seeds here.
      const ranks = Object.entries(metrics).filter(([metric]) => !metric.startsWith('NMI'));
      expect(ranks.length).toBeGreaterThan(2);
      for (const [metric, value] of ranks) expect(value, metric).toBeCloseTo(best!.metrics[metric]!, 6);
    }
  },
);
