import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, scope } from '@conquer-dml/torch';
import { beforeAll, expect, it } from 'vitest';
import { imagesAsSeen, plainBatches } from '../data/plain-batches.js';
import { readTestedImages } from '../data/tested-images.js';
import { embedImages } from '../evaluate/embed.js';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { ballDistances, toPoincareBall } from '../neighbours/poincare.js';
import { evaluateRun } from '../train/evaluate-run.js';
import { train } from '../train/train.js';
import { openModel } from './open-model.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeDiscs(folder, 4);
});

const at = (run: string) => join(folder, run);
const experimentOf = (loss: ExperimentInput['loss']): ExperimentInput => ({
  data: {
    dataset: { name: 'folder', folder: at('images') },
    imageSize: 16,
    batchSize: 8,
    samplesPerClass: 2,
  },
  model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 8 },
  divide: { numLearners: 1 },
  loss,
  train: { epochs: 1 },
});

it('is evaluated by the distances that a hyperbolic loss learns, and so are its neighbours and the run', async () => {
  const loss = { name: 'hyperbolic-pairwise', curvature: 0.02, clipRadius: 10 } as const;
  const before = liveTensors();
  const { last } = await train(experimentOf(loss), { run: at('ball') });
  expect(liveTensors()).toBe(before);
  const run = RunFolder.open(at('ball'));
  const experiment = resolveExperiment(run.experiment() as ExperimentInput);
  const again = await evaluateRun(at('ball'), experiment, { metrics: ['usual'] });
  for (const name of ['R@1', 'R@2', 'MAP@R'])
    expect(again.metrics[name], name).toBeCloseTo(last!.metrics![name]!, 12);

  // All pairs, of what the model gives before rows are scaled.
  const { queries, neighbours, depth } = await readTestedImages(run);
  const notes: string[] = [];
  using opened = await openModel(at('ball'), { onNote: (text) => void notes.push(text) });
  expect(notes).toEqual([expect.stringMatching(/goes by the angle .* that are 10 long or longer/)]);
  const batches = plainBatches(imagesAsSeen(queries.paths, opened.view), opened.view, { device: 'cpu' });
  using rows = await embedImages(opened.model, batches, { layer: 'unscaled' });
  const ball = { curvature: 0.02, clipRadius: 10 };
  const points = scope(() => toPoincareBall(rows.to('float64'), ball).keep());
  const all = scope(() => ballDistances(points, points, ball.curvature).toNumbers());
  points.dispose();
  const count = queries.labels.length;
  let hits = 0;
  for (const [query, label] of queries.labels.entries()) {
    const others = Array.from({ length: count }, (_, place) => place).filter((place) => place !== query);
    others.sort((a, b) => all[query * count + a]! - all[query * count + b]!);
    hits += Number(queries.labels[others[0]!] === label);
    expect([...neighbours.subarray(query * depth, query * depth + 3)]).toEqual(others.slice(0, 3));
  }
  expect(last!.metrics!['R@1']).toBeCloseTo(hits / count, 12);
  const angle = evaluateEmbeddings(rows, queries.labels, { metric: 'cosine', nmi: false });
  expect(last!.metrics!['MAP@R']).not.toBeCloseTo(angle['MAP@R']!, 4);
});
