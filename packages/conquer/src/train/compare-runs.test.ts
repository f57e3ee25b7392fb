import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { scope, tensor, writeSafetensors, zeros } from '@conquer-dml/torch';
import { beforeEach, expect, it } from 'vitest';
import { compareRuns } from './compare-runs.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

const labels = [0, 0, 1, 1, 2, 2];
const files = labels.map((_, place) => `images/${place}.jpg`);

/** @param nearest of each image, in the order of `files` @param order of the images in the run's files */
function run(
  name: string,
  nearest: number[],
  { order = [0, 1, 2, 3, 4, 5], classes = ['a', 'b', 'c'] } = {},
) {
  const made = RunFolder.create(join(folder, name), { train: { epochs: 1 } });
  const data = join(folder, `${name}-data`);
  const lists = {
    paths: order.map((place) => join(data, files[place]!)),
    labels: order.map((place) => labels[place]!),
    classNames: classes,
  };
  writeFileSync(made.testImagesFile, JSON.stringify({ queries: lists, gallery: null }));
  const record = { format: 'conquer-dataset-1', sha256: '', folder: data, splits: {} };
  writeFileSync(made.datasetFile, JSON.stringify(record));
  scope(() => {
    const rows = order.map((place) => order.indexOf(nearest[place]!));
    writeSafetensors(
      made.embeddingsFile,
      new Map([
        ['embeddings', zeros([order.length, 2])],
        ['labels', tensor(Int32Array.from(lists.labels))],
        ['positions', tensor(Int32Array.from(order.keys()))],
        ['neighbours', tensor(Int32Array.from(rows), { shape: [order.length, 1] })],
        ['distances', zeros([order.length, 1])],
        ['clusters', tensor(new Int32Array(order.length))],
      ]),
      { format: 'conquer-embeddings-1', epoch: '4', images: String(order.length) },
    );
  });
  return made.path;
}

it('compares the same queries, in whatever order and wherever they lie', async () => {
  const first = run('first', [1, 0, 3, 5, 0, 1]); // hits 1 1 1 0 0 0
  const second = run('second', [2, 0, 3, 2, 5, 4], { order: [5, 3, 1, 0, 2, 4] }); // hits 0 1 1 1 1 1
  const compared = await compareRuns(first, second);
  expect(compared).toMatchObject({
    queries: 6,
    classes: 3,
    first: { run: first, epoch: 4, recallAt1: 0.5 },
    second: { run: second, recallAt1: 5 / 6 },
    mcnemar: { onlyFirst: 1, onlySecond: 3, method: 'exact', pValue: 0.625 },
  });
  expect(compared.difference).toBeCloseTo(1 / 3, 14);
  // Of the classes' differences, −1/2, 1/2 and 1.
  expect(compared.standardError).toBeCloseTo(Math.sqrt((25 / 36 + 1 / 36 + 16 / 36) / 2 / 3), 14);
  const same = await compareRuns(first, first);
  expect(same).toMatchObject({ difference: 0, standardError: 0, pValue: null, mcnemar: { pValue: 1 } });
});

it('refuses other queries and other classes', async () => {
  const first = run('first', [1, 0, 3, 5, 0, 1]);
  const fewer = run('fewer', [1, 0, 3, 2, 0, 1], { order: [0, 1, 2, 3] });
  await expect(compareRuns(first, fewer)).rejects.toThrow(
    /were tested on other queries: expected the same files in both, 2 are in .*first only, such as images\/4.jpg$/,
  );
  const renamed = run('renamed', [1, 0, 3, 5, 0, 1], { classes: ['a', 'x', 'c'] });
  await expect(compareRuns(first, renamed)).rejects.toThrow('images/2.jpg is of "b" in the one and of "x"');
  const untested = RunFolder.create(join(folder, 'untested'), { train: { epochs: 1 } }).path;
  await expect(compareRuns(first, untested)).rejects.toThrow('embeddings.safetensors is not there');
});
