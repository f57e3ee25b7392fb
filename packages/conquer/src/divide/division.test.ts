import { liveTensors, manualSeed, ones, randn, type Tensor, tensor } from '@conquer-dml/torch';
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
    expect(enoughToTrain(Int32Array.of(0, 0, 0, 0, 0), { labels }, 1)).toBe(true);
    expect(enoughToTrain(Int32Array.of(0, 0, 0, -1, 0), { labels }, 1)).toBe(false);
    expect(enoughToTrain(Int32Array.of(0, 0, 0, 0, 1), { labels }, 2)).toBe(false);
  });
});

describe('division far from the origin', () => {
  it.each(['image', 'class'] as const)('is the one at the origin, by %s', (clusterBy) => {
    manualSeed(3);
    const { features, labels } = groups();
    // On a grid, so that moving them costs no digit.
    const near = features.mul(64).round().div(64);
    const common = { labels, previous: null, numClusters: 4, clusterBy, epoch: 0 };
    const wanted = divide({ ...common, features: near, random: new Random(1) });
    const found = divide({ ...common, features: near.add(65536), random: new Random(1) });
    expect(found.sizes).toEqual(wanted.sizes);
    expect([...found.clusters]).toEqual([...wanted.clusters]);
  });
});

describe('dropSingles', () => {
  it('leaves out an image that is alone of its class in its cluster', () => {
    const clusters = Int32Array.of(0, 0, 0, 1, 1, -1);
    expect([...dropSingles(clusters, { labels: Int32Array.of(3, 3, 4, 3, 3, 3) })]).toEqual([
      0, 0, -1, 1, 1, -1,
    ]);
  });
});

describe('of pairs', () => {
  const pairs = {
    first: Int32Array.of(0, 1, 3, 4),
    second: Int32Array.of(1, 2, 4, 5),
    same: Uint8Array.of(1, 0, 1, 0),
  };
  const labels = Int32Array.of(0, 0, 1, 2, 2, 3);

  it('leaves out images whose pairs are all across clusters, and counts these', () => {
    expect([...dropSingles(Int32Array.of(0, 0, 1, 1, 1, 1), { labels, pairs })]).toEqual([0, 0, -1, 1, 1, 1]);
    const features = tensor([[0], [0.1], [0.2], [9], [9.1], [9.2]]);
    const random = new Random(1);
    const options = { features, labels, pairs, previous: null, numClusters: 2, epoch: 0, random };
    const { clusters, sizes, notes } = divide(options);
    expect(sizes).toEqual([3, 3]);
    expect(new Set([clusters[0], clusters[1], clusters[2]]).size).toBe(1);
    expect(notes).toEqual(["0 of 4 pairs are across clusters, and no learner's"]);
    expect([...undivided(labels, 0, pairs).clusters]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe('clusterFeatures', () => {
  it('refuses an embedding that has collapsed, and counts clusters that stay empty', () => {
    const labels = Int32Array.from({ length: 40 }, (_, at) => at % 4);
    const random = new Random(1);
    const options = { random, trials: 2 };
    expect(() => clusterFeatures(ones([40, 3]), { labels }, 4, options)).toThrow(
      /^all 40 images are embedded as one point, so that there is nothing to divide: the embedding has collapsed/,
    );
    // Those apart may be the last of many that all lie at the mean.
    const last = Int32Array.from({ length: 4108 }, (_, at) => at % 2);
    const rows = tensor(Array.from(last, (side, at) => [1, at < 4100 ? 0 : 2 * side - 1]));
    expect(clusterFeatures(rows, { labels: last }, 2, options).clusters).toHaveLength(4108);
    // Two different points are two clusters at most.
    const two = tensor([...labels].map((label) => [label < 2 ? 0 : 1, 1]));
    expect(clusterFeatures(two, { labels }, 4, options).notes[0]).toMatch(
      /gave each cluster two classes of two images; the last one is used, in which 2 are empty$/,
    );
  });

  it('tries again until each cluster can train', () => {
    manualSeed(1);
    const { features, labels } = groups();
    for (let seed = 0; seed < 10; seed++) {
      const { clusters, notes } = clusterFeatures(features, { labels }, 4, { random: new Random(seed) });
      expect(enoughToTrain(clusters, { labels }, 4)).toBe(true);
      expect(notes).toEqual([]);
    }
  });

  it('keeps the last try with a note where none can', () => {
    const labels = Int32Array.from({ length: 20 }, (_, i) => i);
    const { clusters, notes } = clusterFeatures(randn([20, 2]), { labels }, 2, {
      random: new Random(0),
      trials: 3,
    });
    expect(new Set(clusters).size).toBe(2);
    expect(notes).toEqual([expect.stringMatching(/in 3 tries/)]);
  });
});

describe('splitClusters', () => {
  it('splits c into 2c and 2c + 1 along the features, and leaves out what was left out', () => {
    manualSeed(2);
    const { features, labels, group } = groups();
    const two = group.map((g, i) => (i === 0 ? -1 : g >> 1));
    const { clusters, notes } = splitClusters(features, two, { labels }, 2, { random: new Random(0) });
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
    const split = splitClusters(features, Int32Array.of(0, 0, 0, 0, 1), { labels }, 3, {
      random: new Random(0),
      trials: 2,
    });
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
    const two = divide({ features, labels, previous: one, numLearners: 2, epoch: 2, random });
    expect(two.numClusters).toBe(2);
    const four = divide({ features, labels, previous: two, numLearners: 4, epoch: 4, random });
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

  it('keeps classes whole where classes are clustered, also when clusters are split', () => {
    manualSeed(9);
    const { features } = groups();
    // Classes without any order in the features: clustering images scatters them.
    const labels = Int32Array.from({ length: 120 }, (_, i) => i % 25);
    const common = { features, labels, previous: null, numClusters: 2, numLearners: 4, epoch: 0 };
    const clustersOf = (division: { clusters: Int32Array }) =>
      [...new Set(labels)].map((c) => new Set(division.clusters.filter((_, i) => labels[i] === c)).size);
    const images = divide({ ...common, random: new Random(1) });
    expect(Math.max(...clustersOf(images))).toBeGreaterThan(1);
    const classes = divide({ ...common, clusterBy: 'class', random: new Random(1) });
    expect(clustersOf(classes)).toEqual(new Array(25).fill(1));
    expect(classes.leftOut).toBe(0);
    expect(classes.classCounts.reduce((a, b) => a + b)).toBe(25);
  });

  it('merges bottom-up: clusters 2c and 2c + 1 become c', () => {
    manualSeed(5);
    const { features, labels } = groups();
    const random = new Random(0);
    const four = divide({ features, labels, previous: null, numClusters: 4, epoch: 0, random });
    const options = { features, labels, previous: four, numClusters: 4, numLearners: 2, epoch: 2, random };
    const two = divide(options);
    expect(two).toMatchObject({ numClusters: 2, moved: 0 });
    expect([...two.clusters]).toEqual([...four.clusters].map((cluster) => cluster >> 1));
  });

  it('starts from the centroids of the clusters there are, if they are to adapt', () => {
    // Two equally good halves of a square: k-means stays with the one it starts from.
    const corners = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ];
    const features = tensor(Array.from({ length: 32 }, (_, i) => corners[i % 4] as number[]));
    const labels = Int32Array.from({ length: 32 }, (_, i) => 4 * (i >> 4) + (i % 4));
    const halves = (axis: 0 | 1) =>
      Int32Array.from({ length: 32 }, (_, i) => corners[i % 4]?.[axis] as number);
    for (const axis of [0, 1] as const) {
      const previous = { ...undivided(labels), clusters: halves(axis), numClusters: 2 };
      const kept = (clustering: 'kmeans' | 'adaptive-centroids') =>
        Array.from({ length: 12 }, (_, seed) => {
          const random = new Random(seed);
          return divide({ features, labels, previous, clustering, recluster: 'reset', epoch: 2, random })
            .moved;
        }).filter((moved) => moved === 0).length;
      expect(kept('adaptive-centroids')).toBe(12);
      expect(kept('kmeans')).toBeLessThan(12);
    }
  });

  it('finds the clusters among a sample of the images, and puts all of them to one', () => {
    manualSeed(7);
    const { features, labels, group } = groups();
    const common = { features, labels, previous: null, numClusters: 4, epoch: 0 };
    const { clusters, sizes } = divide({ ...common, clusterSample: 10, random: new Random(2) });
    expect(sizes).toEqual([30, 30, 30, 30]);
    expect(new Set(group.map((of, image) => 4 * of + (clusters[image] as number))).size).toBe(4);
    // One image for each cluster cannot know the groups every time.
    const few = Array.from({ length: 20 }, (_, seed) =>
      clusterFeatures(features, { labels }, 4, { random: new Random(seed), trials: 1, sample: 1 }),
    );
    expect(
      few.some(({ clusters: found }) => new Set(group.map((of, i) => 4 * of + found[i]!)).size > 4),
    ).toBe(true);
  });

  it('starts anew where the number of clusters changed, or one is empty', () => {
    manualSeed(6);
    const { features, labels } = groups();
    const previous = { ...undivided(labels), numClusters: 2 };
    const options = {
      features,
      labels,
      epoch: 2,
      random: new Random(3),
      clustering: 'adaptive-centroids' as const,
    };
    expect(divide({ ...options, previous }).sizes.every((size) => size > 20)).toBe(true);
    expect(divide({ ...options, previous: undivided(labels), numClusters: 4 }).notes).toEqual([]);
  });

  it('numbers the clusters anew, if learners are to be reset or drawn', () => {
    manualSeed(4);
    const { features, labels } = groups();
    const previous = divide({
      features,
      labels,
      previous: null,
      numClusters: 4,
      epoch: 0,
      random: new Random(1),
    });
    const moves = (recluster: 'reassign' | 'reset' | 'random', clustering: 'kmeans' | 'adaptive-centroids') =>
      Array.from({ length: 10 }, (_, seed) => {
        const random = new Random(seed);
        return divide({ features, labels, previous, recluster, clustering, epoch: 2, random }).moved;
      }).filter((moved) => moved > 0).length;
    expect(moves('reassign', 'kmeans')).toBe(0);
    expect(moves('reset', 'kmeans')).toBeGreaterThan(5);
    // The same clusters under the same numbers, unless these are drawn.
    expect(moves('reset', 'adaptive-centroids')).toBe(0);
    expect(moves('random', 'adaptive-centroids')).toBeGreaterThan(5);
    expect(moves('reassign', 'adaptive-centroids')).toBe(0);
  });

  it('keeps no tensor, needs no features for one cluster, and refuses what does not double', () => {
    const { features, labels } = groups();
    const random = new Random(0);
    const before = liveTensors();
    divide({ features, labels, previous: null, numClusters: 2, numLearners: 4, epoch: 0, random });
    expect(liveTensors()).toBe(before);
    expect(divide({ features: null, labels, previous: null, epoch: 0, random }).numClusters).toBe(1);
    expect(() =>
      divide({ features: null, labels, previous: null, numLearners: 2, epoch: 0, random }),
    ).toThrow(/features/);
    expect(() =>
      divide({ features, labels, previous: null, numClusters: 2, numLearners: 6, epoch: 0, random }),
    ).toThrow(/2 clusters do not double to 6/);
  });
});
