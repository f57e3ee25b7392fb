import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { F, liveTensors, noGrad, scope } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { Interrupted } from '../interrupted.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { openPretrained } from '../models/weights/pretrained.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { openModel } from '../retrieve/open-model.js';
import { writeEmojiPhotos } from '../testing/emoji-photos.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { train } from '../train/train.js';
import { type FitOptions, fit } from './fit.js';
import type { FitReport } from './fit-report.js';
import { keepFeatures } from './keep-features.js';

describe('fit', () => {
  let photos: string;
  let folder: string;
  let report: FitReport;
  const warnings: string[] = [];
  const options = (): FitOptions => ({
    dataset: { name: 'folder', folder: photos },
    imageSize: 32,
    views: 2,
    splits: 2,
    steps: 200,
    heads: ['linear', 'divided'],
    choose: 'divided',
    experiment: {
      data: { batchSize: 16, samplesPerClass: 2 },
      model: { embeddingDim: 32 },
      divide: { numLearners: 2, divideFrom: 0 },
    },
  });
  const fitted = async (name: string, signal?: AbortSignal, at = folder) =>
    await fit(options(), {
      ...{ run: join(at, name), folder: at, threads: 1 },
      ...(signal && { signal }),
      observer: { onWarning: (text) => warnings.push(text) },
    });

  beforeAll(async () => {
    photos = temporaryFolder();
    folder = temporaryFolder();
    await writeEmojiPhotos(photos, 12);
    writeFileSync(join(photos, readdirSync(photos)[0]!, 'broken.png'), 'no image');
    report = await fitted('run');
  });

  it('says what it found', () => {
    expect(report).toMatchObject({ classes: 12, leftOut: 1, views: 2, taken: 'divided' });
    expect(report.heads.map(({ name }) => name)).toEqual(['linear', 'divided']);
    expect(report.heads[0]).not.toMatchObject({ test: report.heads[1]!.test });
    expect(report.curve.map(({ classes }) => classes)).toEqual([2, 3, 6]);
    for (const { test, validation } of [report.frozen, ...report.heads])
      for (const { recallAt1, mapAtR } of [...test, ...validation]) {
        expect(mapAtR).toBeGreaterThan(0);
        expect(mapAtR).toBeLessThanOrEqual(recallAt1);
      }
    expect(warnings.join()).toContain('broken.png');
  });

  it('writes a run of the whole network: from a file it gives what the head gives from kept features', async () => {
    const run = RunFolder.open(join(folder, 'run'));
    expect(JSON.parse(readFileSync(join(run.path, 'fit.json'), 'utf8'))).toEqual(report);
    expect(run.summary()).toMatchObject({ status: 'finished', queries: 0 });
    expect(run.divisions().at(-1)?.sizes.length).toBe(2);
    using opened = await openModel(run.path);
    const { index } = await indexFolder(opened, photos, { threads: 1 });
    expect(index.count).toBeGreaterThan(60);

    const files = readdirSync(photos).map((name) =>
      join(photos, name, readdirSync(join(photos, name)).find((file) => file !== 'broken.png')!),
    );
    const { backbone, id } = await openPretrained('tf_efficientnet_lite0.in1k');
    using network = backbone.eval();
    const features = { id, seen: opened.view, views: 1, folder: join(folder, 'features'), threads: 1 };
    using kept = await keepFeatures(network, files, features);
    expect(kept.computed).toBe(0);
    const model = opened.model as EmbeddingModel;
    using wanted = noGrad(() => scope(() => F.normalize(model.head.forward(kept.rows))));
    using found = await opened.embedTensor(files);
    expect(scope(() => found.sub(wanted).abs().max().item())).toBeLessThan(1e-5);
  });

  it('is over at once the second time, and goes on where it was interrupted', async () => {
    const { seconds: _, run: __, ...before } = report;
    const { seconds: ___, run: ____, ...again } = await fitted('again');
    expect(again).toEqual(before);
    // Stopped in the middle of the work, over and over.
    const other = temporaryFolder();
    let stops = 0;
    for (; stops < 50; stops++) {
      const stop = new AbortController();
      let told = 0;
      // What is kept is told of too: later each time, so that it gets further.
      const at = 3 + 4 * stops;
      const calls = { onTraining: () => ++told === at && stop.abort(), onWarning() {} };
      try {
        const request = { run: join(other, 'run'), folder: other, threads: 1, signal: stop.signal };
        const {
          seconds: _____,
          run: ______,
          ...found
        } = await fit(options(), { ...request, observer: calls as never });
        expect(found).toEqual(before);
        break;
      } catch (error) {
        expect(error).toBeInstanceOf(Interrupted);
      }
    }
    expect(stops).toBeGreaterThan(2);
    const weights = (at: string) => {
      const saved = loadCheckpoint(RunFolder.open(at).bestCheckpoint);
      const values = ['embedding.weight', 'masks.0', 'masks.1'].map((name) =>
        saved.model.get(name)!.tolist(),
      );
      disposeCheckpoint(saved);
      return values;
    };
    expect(weights(join(other, 'run'))).toEqual(weights(join(folder, 'run')));
  });

  it('frees what it took', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    // What is left to the collector, before and after.
    const settled = async () => {
      for (let round = 0; round < 5; round++) {
        collect();
        await new Promise((done) => setTimeout(done, 20));
      }
      return liveTensors();
    };
    const live = await settled();
    await fitted('third');
    expect(await settled()).toBe(live);
  });

  it('can be trained on, from photos', async () => {
    const run = RunFolder.open(join(folder, 'third'));
    const experiment = run.experiment() as ExperimentInput;
    const epochs = experiment.train!.epochs! + 1;
    const more = mergeExperiments(experiment, { train: { epochs } });
    const summary = await train(more, { run: run.path, resume: true, observer: { onWarning() {} } });
    expect(summary).toMatchObject({ status: 'finished', epochs });
  });
});
