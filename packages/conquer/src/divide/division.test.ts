import { liveTensors, manualSeed, randn, type Tensor, tensor } from '@conquer/torch';
import { describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { clusterFeatures } from './cluster.js';
import { divide, undivided } from './division.js';
import { dropSingles } from './singles.js';
import { splitClusters } from './split.js';
import { enoughToTrain } from './trainable.js';

/** Four groups of 30 images, each of five classes of its own. */
function groups(): { features: Tensor; labels: Int32Array; group: Int32Array } {
  const group = Int32Array.from({ length: 120 }, (_, i) => i % 4);
  const labels = group.map((g, i) => 5 * g + ((i >> 2) % 5));
  const centres = Float32Array.from(group, (g) => 20 * g);
  const features = randn([120, 3]).add(tensor(centres).unsqueeze(1));
  return { features, labels, group };
}

describe('enoughToTrain', () => {
  it('wants two classes of two images in every cluster', () => {
    const labels = Int32Array.of(0, 0, 1, 1, 2);
    expect(enoughToTrain(Int32Array.of(0, 0, 0, 0, 0), labels, 1)).toBe(true);
    expect(enoughToTrain(Int32Array.of(0, 0, 0, -1, 0), labels, 1)).toBe(false);
    expect(enoughToTrain(Int32Array.of(0, 0, 0, 0, 1), labels, 2)).toBe(false);
  });
});

describe('dropSingles', () => {
  it('leaves out an image that is alone of its class in its cluster', () => {
    const clusters = Int32Array.of(0, 0, 0, 1, 1, -1);
    expect([...dropSingles(clusters, Int32Array.of(3, 3, 4, 3, 3, 3))]).toEqual([0, 0, -1, 1, 1, -1]);
  });
});

describe('clusterFeatures', () => {
  it('tries again until each cluster can train', () => {
    manualSeed(1);
    const { features, labels } = groups();
    for (let seed = 0; seed < 10; seed++) {
      const { clusters, notes } = clusterFeatures(features, labels, 4, new Random(seed));
      expect(enoughToTrain(clusters, labels, 4)).toBe(true);
      expect(notes).toEqual([]);
    }
  });

  it('keeps the last try with a note where none can', () => {
    const labels = Int32Array.from({ length: 20 }, (_, i) => i);
    const { clusters, notes } = clusterFeatures(randn([20, 2]), labels, 2, new Random(0), 3);
    expect(new Set(clusters).size).toBe(2);
    expect(notes).toEqual([expect.stringMatching(/in 3 tries/)]);
  });
});

describe('splitClusters', () => {
  it('splits c into 2c and 2c + 1 along the features, and leaves out what was left out', () => {
    manualSeed(2);
    const { features, labels, group } = groups();
    const two = group.map((g, i) => (i === 0 ? -1 : g >> 1));
    const { clusters, notes } = splitClusters(features, two, labels, 2, new Random(0));
    expect(notes).toEqual([]);
    expect(clusters[0]).toBe(-1);
    for (let i = 1; i < 120; i++) expect((clusters[i] as number) >> 1).toBe(two[i]);
    // The halves are the groups, in either order.
    for (const half of [0, 1, 2, 3]) {
      expect(new Set(group.filter((_, i) => clusters[i] === half)).size).toBe(1);
    }
  });

  it('says so where a cluster cannot be split well, or at all', () => {
    const features = tensor([[0], [1], [2], [3], [9]]);
    const labels = Int32Array.of(0, 0, 1, 1, 2);
    const split = splitClusters(features, Int32Array.of(0, 0, 0, 0, 1), labels, 3, new Random(0), 2);
    expect(split.notes.length).toBe(3);
    expect(split.clusters[4]).toBe(2);
    expect(new Set(split.clusters.subarray(0, 4))).toEqual(new Set([0, 1]));
  });
});

describe('divide', () => {
  it('starts with everything in one cluster but the classes of one image', () => {
    const start = undivided(Int32Array.of(0, 0, 1, 2, 2));
    expect(start).toMatchObject({ numClusters: 1, sizes: [4], classCounts: [2], leftOut: 1, epoch: 0 });
    expect([...start.clusters]).toEqual([0, 0, -1, 0, 0]);
  });

  it('doubles top-down to clusters that keep their parents', () => {
    manualSeed(3);
    const { features, labels, group } = groups();
    const random = new Random(0);
    const one = undivided(labels);
    const two = divide({ features, labels, previous: one, doubleTo: 2, epoch: 2, random });
    expect(two.numClusters).toBe(2);
    const four = divide({ features, labels, previous: two, doubleTo: 4, epoch: 4, random });
    expect(four).toMatchObject({ numClusters: 4, epoch: 4, notes: [], moved: 0 });
    expect(four.sizes.reduce((a, b) => a + b) + four.leftOut).toBe(120);
    for (let i = 0; i < 120; i++) {
      if (four.clusters[i] !== -1) expect((four.clusters[i] as number) >> 1).toBe(two.clusters[i]);
    }
    for (const cluster of [0, 1, 2, 3]) {
      expect(new Set(group.filter((_, i) => four.clusters[i] === cluster)).size).toBe(1);
    }
    expect(four.classCounts).toEqual([5, 5, 5, 5]);
  });

  it('gives unchanged clusters back to their learners', () => {
    manualSeed(4);
    const { features, labels } = groups();
    let division = divide({
      features,
      labels,
      previous: null,
      numClusters: 4,
      epoch: 0,
      random: new Random(1),
    });
    for (let seed = 2; seed < 8; seed++) {
      const next = divide({ features, labels, previous: division, epoch: seed, random: new Random(seed) });
      expect(next.clusters).toEqual(division.clusters);
      expect(next.moved).toBe(0);
      division = next;
    }
  });

  it('keeps no tensor, needs no features for one cluster, and refuses what does not double', () => {
    const { features, labels } = groups();
    const random = new Random(0);
    const before = liveTensors();
    divide({ features, labels, previous: null, numClusters: 2, doubleTo: 4, epoch: 0, random });
    expect(liveTensors()).toBe(before);
    expect(divide({ features: null, labels, previous: null, epoch: 0, random }).numClusters).toBe(1);
    expect(() => divide({ features: null, labels, previous: null, doubleTo: 2, epoch: 0, random })).toThrow(
      /features/,
    );
    expect(() =>
      divide({ features, labels, previous: null, numClusters: 2, doubleTo: 6, epoch: 0, random }),
    ).toThrow(/2 clusters do not double to 6/);
  });
});
