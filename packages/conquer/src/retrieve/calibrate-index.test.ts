import { join } from 'node:path';
import { Writable } from 'node:stream';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { runCalibrate } from '../cli/commands/calibrate.js';
import { runDuplicates } from '../cli/commands/duplicates.js';
import { runGroup } from '../cli/commands/group.js';
import { outgrown } from './calibrate-index.js';
import { ImageIndex } from './image-index.js';
import { similarPairs } from './similar-pairs.js';

/** Takes what is printed. */
class Printed extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

it('an index that is calibrated says how probable a match is, and gives none where none is near enough', async () => {
  const path = join(temporaryFolder(), 'i.index');
  const generator = new Generator(1);
  using rows = scope(() =>
    randn([120, 1, 16], { generator })
      .add(randn([120, 5, 16], { generator }).mul(0.4))
      .reshape([600, 16]),
  );
  using stranger = randn([1, 16], { generator });
  using near = rows.narrow(0, 7, 1);
  {
    using index = ImageIndex.of(
      rows,
      Array.from({ length: 600 }, (_, i) => ({ id: `i${i}`, labels: `class ${Math.floor(i / 5)}` })),
    );
    expect(() => index.search(near, 1, { maxFalseMatch: 0.01 })).toThrow(
      /it is not known what a similarity means here: calibrate the index/,
    );
    expect(index.search(near, 1)[0]![0]).not.toHaveProperty('probability');
    index.save(path);
  }
  const out = new Printed();
  const photos = { photos: path, out, progress: new Printed(), maxFalseMatch: '0.001' };
  await expect(runDuplicates(photos)).rejects.toThrow(/not known what a similarity means here/);
  await runCalibrate({ path, given: {}, out, progress: new Printed() });
  expect(out.text).toMatch(
    /600 images of 120 classes, 1200 pairs of one class, 178500 of two\nfalse-match rate 10 % \(.* to .*\): similarity 0\.\d{4}, finds .*\n.*1 % .*\n.*0\.1 % .*\nfalse-match rate 0\.01 %: not supported, only \d+ pairs/,
  );
  using index = ImageIndex.open(path);
  const [found] = index.search(near, 5, { maxFalseMatch: 0.001 });
  expect(found!.length).toBeGreaterThan(2);
  expect(new Set(found!.map(({ labels }) => labels[0]))).toEqual(new Set(['class 1']));
  expect(found![0]!.probability).toBeGreaterThan(0.99);
  expect(index.search(stranger, 5, { maxFalseMatch: 0.001 })).toEqual([[]]);
  expect(index.search(stranger, 5)[0]).toHaveLength(5);
  expect(() => index.search(near, 5, { maxFalseMatch: 1e-5 })).toThrow(/supports rates of 0\.001 or more/);
  // Pairs and groups by the same threshold.
  const { similarity } = index.calibration!.thresholds[2]!;
  const pairs = new Printed();
  await runDuplicates({ ...photos, out: pairs, json: true });
  const alike = pairs.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { similarity: number });
  expect(alike).toHaveLength([...similarPairs(index, { minSimilarity: similarity })].length);
  const groups = new Printed();
  await runGroup({ ...photos, out: groups });
  expect(groups.text).toMatch(/^group 1, \d+ images\n/);
  await expect(runGroup({ ...photos, minSimilarity: '0.9' })).rejects.toThrow(
    /expected --min-similarity or --max-false-match, got both/,
  );
  await expect(runDuplicates({ ...photos, maxFalseMatch: '0' })).rejects.toThrow(
    /--max-false-match: expected a rate above 0/,
  );
  // It stays with what is added and removed.
  index.remove(['i3']);
  index.save(path);
  using again = ImageIndex.open(path);
  expect(again.calibration).toEqual(index.calibration);

  // An index that takes its items in takes over what it knows; one that has grown far beyond says so.
  using other = ImageIndex.of(near, [{ id: 'other' }]);
  other.merge(again);
  expect(other.calibration).toEqual(again.calibration);
  expect(await outgrown(other)).toBeNull();
  other.remove(Array.from({ length: 320 }, (_, i) => `i${i}`));
  expect(await outgrown(other)).toBe(
    'the index was calibrated by 600 labelled images, and has 280 now: calibrate it again',
  );
  const origin = { folder: '/photos', embedder: 'a', source: null, checkpoint: null, preprocessing: null };
  using ofAnother = ImageIndex.empty(16, origin);
  expect(() => {
    ofAnother.calibration = { ...again.calibration!, embedder: 'b' };
  }).toThrow(/an index by a cannot have a calibration of b/);

  using bare = ImageIndex.of(tensor([[1, 0]]), [{ id: 'a' }]);
  bare.save(`${path}.bare`);
  await expect(
    runCalibrate({ path: `${path}.bare`, given: {}, out, progress: new Printed() }),
  ).rejects.toThrow(/calibrated by items of two classes or more, it has labels of 0/);
});
