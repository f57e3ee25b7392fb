import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import {
  AdaptiveClassBalancedSampler,
  adaptive,
  type SmallClassAction,
  smallClassActions,
} from './adaptive.js';
import type { BatchSampler, Difficulty, SamplerPart } from './batch-sampler.js';
import { ClassBalancedSampler } from './class-balanced.js';
import { Deck } from './deck.js';
import { HardImageSampler } from './hard-images.js';
import { HierarchicalSampler } from './hierarchical.js';
import { NPairsSampler } from './npairs.js';
import { PkSampler } from './pk.js';
import { RandomBatchSampler, random as randomBatches } from './random-batches.js';
import { samplers } from './samplers.js';

interface Trial {
  seed: number;
  labels: Int32Array;
  indices: Int32Array;
  labelOf: Map<number, number>;
  sizeOf: Map<number, number>;
  replicas: number;
  samplesPerClass: number;
  batchSize: number;
}

/** A random subset of a split: some classes tiny, some large, labels with gaps, positions in any order. */
function trial(seed: number): Trial {
  const random = new Random(seed);
  const classes = 2 + random.int([1, 4, 40][seed % 3]!);
  const sizes = Array.from({ length: classes }, () => 1 + random.int([1, 5, 30][random.int(3)]!));
  const labels = random.shuffle(
    Int32Array.from(sizes.flatMap((size, index) => new Array<number>(size).fill(index * 3))),
  );
  const indices = random.choice(labels.length * 2, labels.length);
  const replicas = 1 + random.int(3);
  const samplesPerClass = 1 + random.int(5);
  const batchSize = samplesPerClass * (2 + random.int(12)) * replicas;
  const labelOf = new Map([...indices].map((position, image) => [position, labels[image]!]));
  const sizeOf = new Map(sizes.map((size, index) => [index * 3, size]));
  return { seed, labels, indices, labelOf, sizeOf, replicas, samplesPerClass, batchSize };
}

/** What a sampler is given of a trial. */
const contextOf = ({ labels, indices, batchSize, samplesPerClass, replicas }: Trial, random: Random) => ({
  labels,
  indices,
  batchSize,
  samplesPerClass,
  replicas,
  random,
});

/** Three categories, by label. */
const categories = Array.from({ length: 200 }, (_, label) => `category ${label % 3}`);
/** Of half the images nothing is known. */
const difficulty: Difficulty = { of: (position) => (position % 2 === 0 ? null : Math.sin(position)) };

const made: Record<string, (trial: Trial, random: Random) => BatchSampler> = {
  'class-balanced': (trial, random) => new ClassBalancedSampler(contextOf(trial, random)),
  random: (trial, random) => randomBatches.build({ minClasses: 2 }, contextOf(trial, random)),
  npairs: (trial, random) => new NPairsSampler(contextOf(trial, random)),
  pk: (trial, random) => new PkSampler(contextOf(trial, random)),
  hierarchical: (trial, random) => new HierarchicalSampler({ ...contextOf(trial, random), categories }),
  'hard-images': (trial, random) => new HardImageSampler({ ...contextOf(trial, random), difficulty }),
  ...Object.fromEntries(
    smallClassActions.map((smallClassAction: SmallClassAction) => [
      `adaptive, ${smallClassAction}`,
      (trial: Trial, random: Random) =>
        new AdaptiveClassBalancedSampler({ ...contextOf(trial, random), smallClassAction }),
    ]),
  ),
};

function counts<T>(values: Iterable<T>): Map<T, number> {
  const count = new Map<T, number>();
  for (const value of values) count.set(value, (count.get(value) ?? 0) + 1);
  return count;
}

/** Samplers that put no image into a batch twice, however small the subset is. */
const neverTwice = ['pk', 'hierarchical', 'hard-images'];

const trials = Array.from({ length: 90 }, (_, seed) => trial(seed));

describe.each(Object.entries(made))('the %s sampler, over random class sizes', (name, make) => {
  it('yields `length` batches, at least one, of positions of the subset, of two classes or more', () => {
    for (const t of trials) {
      const sampler = make(t, new Random(t.seed));
      const batches = [...sampler];
      expect(batches).toHaveLength(sampler.length);
      expect(sampler.length).toBeGreaterThanOrEqual(1);
      for (const batch of batches) {
        expect(batch.every((position) => t.labelOf.has(position))).toBe(true);
        expect(new Set([...batch].map((position) => t.labelOf.get(position))).size).toBeGreaterThanOrEqual(2);
      }
    }
  });

  it('fills every batch, unless it may be smaller, and repeats it for the replicas', () => {
    for (const t of trials) {
      for (const batch of make(t, new Random(t.seed))) {
        if (name.endsWith('smaller_batch')) expect(batch.length).toBeLessThanOrEqual(t.batchSize);
        else if (neverTwice.includes(name))
          expect(batch.length).toBe(Math.min(t.batchSize, t.labels.length * t.replicas));
        else expect(batch).toHaveLength(t.batchSize);
        const single = batch.length / t.replicas;
        expect(Number.isInteger(single)).toBe(true);
        for (let start = single; start < batch.length; start += single) {
          expect(batch.subarray(start, start + single)).toEqual(batch.subarray(0, single));
        }
      }
    }
  });

  it('lets every class come up, in time', () => {
    for (const t of trials) {
      const sampler = make(t, new Random(t.seed));
      const seen = new Set<number | undefined>();
      for (let epoch = 0; epoch < 300 && seen.size < t.sizeOf.size; epoch++) {
        for (const batch of sampler) for (const position of batch) seen.add(t.labelOf.get(position));
      }
      expect(seen.size).toBe(t.sizeOf.size);
    }
  });

  it('draws the same epoch from the same state of its Random, also after other epochs', () => {
    for (const t of trials.slice(0, 30)) {
      const random = new Random(t.seed);
      const sampler = make(t, random);
      [...sampler];
      const state = random.getState();
      const epoch = [...sampler];
      [...sampler];
      random.setState(state);
      expect([...sampler]).toEqual(epoch);
      random.setState(state);
      expect([...make(t, random)]).toEqual(epoch);
    }
  });

  it('repeats no image in a batch whose classes have enough of them', () => {
    for (const t of trials) {
      const single = t.batchSize / t.replicas;
      const smallest = Math.min(...t.sizeOf.values());
      const enough = name.startsWith('adaptive')
        ? smallest >= Math.ceil(single / Math.min(single / t.samplesPerClass, t.sizeOf.size))
        : name === 'random'
          ? false // a batch may be dealt across a reshuffle of the whole subset: see its own test
          : smallest >= t.samplesPerClass * Math.ceil(single / t.samplesPerClass / t.sizeOf.size);
      if (!enough) continue;
      for (const batch of make(t, new Random(t.seed))) expect(new Set(batch).size).toBe(single);
    }
  });

  it('refuses fewer than two classes, whatever the number of images', () => {
    for (const labels of [[], [5], new Array<number>(100).fill(2)]) {
      const t: Trial = {
        ...trial(1),
        labels: Int32Array.from(labels),
        indices: Int32Array.from(labels.keys()),
      };
      expect(() => make(t, new Random(1))).toThrow(UserError);
      expect(() => make(t, new Random(1))).toThrow(/at least 2 classes .* got \d+ images of [01] class/);
    }
  });
});

describe.each(samplers.map((part) => [part.name, part] as const))('the part %s', (_, part: SamplerPart) => {
  const known = contextOf(trial(4), new Random(1));
  const [a, b, c] = [...known.indices] as [number, number, number];
  const pairs = { first: Int32Array.of(a, a), second: Int32Array.of(b, c), same: Uint8Array.of(1, 0) };
  const context = { ...known, categories, difficulty, pairs };

  it('is built with its defaults, and every option has a help', () => {
    expect([...part.build(part.options.parse({}), context)].length).toBeGreaterThanOrEqual(1);
    for (const option of Object.values(part.options.shape))
      expect(z.toJSONSchema(option)).toHaveProperty('description');
  });

  it('refuses an option that it has not, and sizes out of their range, by their paths', () => {
    const build = (given: Record<string, unknown>) => () =>
      part.build(withDefaults('sampler', part.options, given), context);
    expect(build({ smalClassAction: 1 })).toThrow(/^sampler: smalClassAction: unknown option/);
    const sized = (size: object) => () => part.build(part.options.parse({}), { ...context, ...size });
    expect(sized({ replicas: 0 })).toThrow(/Sampler: replicas: expected an integer of at least 1, got 0/);
    expect(sized({ batchSizes: 4 })).toThrow(/batchSizes: unknown option \(did you mean batchSize\?\)/);
  });
});

it.each([
  [adaptive, { smallClassAction: 'drop' }, /smallClassAction: expected one of duplicate, .* got "drop"/],
  [randomBatches, { minClasses: 1 }, /minClasses: expected an integer of at least 2, got 1/],
])('$name says by its path which option is out of its range', (part: SamplerPart, given, wanted) => {
  expect(() => withDefaults(part.name, part.options, given)).toThrow(wanted);
});

describe('ClassBalancedSampler', () => {
  it('takes samplesPerClass images of each class, class by class', () => {
    for (const t of trials) {
      const room = t.batchSize / t.replicas / t.samplesPerClass;
      for (const batch of new ClassBalancedSampler(contextOf(t, new Random(t.seed)))) {
        const labels = [...batch]
          .slice(0, batch.length / t.replicas)
          .map((position) => t.labelOf.get(position));
        const perClass = [...counts(labels).values()];
        expect(perClass.every((count) => count % t.samplesPerClass === 0)).toBe(true);
        expect(perClass).toHaveLength(Math.min(room, t.sizeOf.size));
        if (room >= t.sizeOf.size)
          expect(Math.max(...perClass) - Math.min(...perClass)).toBeLessThanOrEqual(t.samplesPerClass);
      }
    }
  });

  it('chooses classes equally often, whatever their sizes', () => {
    const labels = Int32Array.from([...new Array<number>(90).fill(0), 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    const sampler = new ClassBalancedSampler({
      labels,
      batchSize: 4,
      samplesPerClass: 2,
      random: new Random(1),
    });
    expect(sampler.length).toBe(25);
    const all: number[] = [];
    for (let epoch = 0; epoch < 60; epoch++)
      for (const batch of sampler) all.push(...[...batch].map((p) => labels[p]!));
    // 3000 draws of a class, each with probability 1/6: the standard deviation is 20.
    for (const count of counts(all).values()) expect(Math.abs(count / 2 - 500)).toBeLessThan(100);
  });

  it('refuses sizes that do not fit', () => {
    const options = { labels: Int32Array.of(0, 0, 1, 1), random: new Random(1) };
    const make =
      (batchSize: number, samplesPerClass: number, replicas = 1) =>
      () =>
        new ClassBalancedSampler({ ...options, batchSize, samplesPerClass, replicas });
    expect(make(70, 4)).toThrow(/at least twice the 4 samples per class, and a multiple of them, got 70/);
    expect(make(4, 4)).toThrow(UserError);
    expect(make(9, 2, 2)).toThrow(/multiple of the 2 replicas, got 9/);
    expect(make(1.5, 1)).toThrow(/batchSize: expected an integer of at least 2, got 1.5/);
    expect(make(4, 0)).toThrow(/samplesPerClass: expected an integer of at least 1, got 0/);
    const { labels, random } = options;
    const indices = Int32Array.of(1);
    expect(
      () => new ClassBalancedSampler({ labels, indices, batchSize: 4, samplesPerClass: 2, random }),
    ).toThrow(/4 labels for 1 indices/);
  });
});

describe('AdaptiveClassBalancedSampler', () => {
  const sampler = (
    sizes: number[],
    batchSize: number,
    samplesPerClass: number,
    smallClassAction: SmallClassAction,
  ) => {
    const labels = Int32Array.from(sizes.flatMap((size, label) => new Array<number>(size).fill(label)));
    const random = new Random(4);
    return {
      labels,
      sampler: new AdaptiveClassBalancedSampler({
        labels,
        batchSize,
        samplesPerClass,
        smallClassAction,
        random,
      }),
    };
  };

  it('takes more images of each where classes are few, as evenly as possible', () => {
    const { labels, sampler: batches } = sampler([40, 40, 40], 20, 4, 'duplicate');
    expect(batches.length).toBe(6);
    const largest = new Set<number>();
    for (let epoch = 0; epoch < 5; epoch++) {
      for (const batch of batches) {
        const count = counts([...batch].map((position) => labels[position]!));
        expect([...count.values()].sort()).toEqual([6, 7, 7]);
        for (const [label, images] of count) if (images === 7) largest.add(label);
      }
    }
    expect(largest.size).toBe(3);
  });

  it('duplicates, fills with others, or makes the batch smaller', () => {
    // Ten classes of two images, four wanted of each of two classes.
    const sizes = new Array<number>(10).fill(2);
    const distinct = (action: SmallClassAction) => {
      const { labels, sampler: batches } = sampler(sizes, 8, 4, action);
      return [...batches].map((batch) => [
        batch.length,
        new Set(batch).size,
        new Set([...batch].map((position) => labels[position])).size,
      ]);
    };
    for (const [length, images, classes] of distinct('duplicate'))
      expect([length, images, classes]).toEqual([8, 4, 2]);
    expect(distinct('duplicate')).toHaveLength(2);
    for (const [length, images, classes] of distinct('sample_other')) {
      expect([length, images]).toEqual([8, 8]);
      expect(classes).toBeGreaterThan(2);
    }
    for (const [length, images, classes] of distinct('smaller_batch'))
      expect([length, images, classes]).toEqual([4, 4, 2]);
    // Batches of four: an epoch of them draws as many images as there are.
    expect(distinct('smaller_batch')).toHaveLength(5);
  });

  it('fills a subset smaller than the batch with repetitions as even as possible, or makes it smaller', () => {
    for (const action of ['duplicate', 'sample_other'] as const) {
      const [batch, ...none] = [...sampler([3, 2, 1], 16, 4, action).sampler];
      expect(none).toEqual([]);
      expect(batch).toHaveLength(16);
      expect(new Set(batch).size).toBe(6);
      if (action === 'sample_other') {
        expect(
          Math.max(...counts(batch!).values()) - Math.min(...counts(batch!).values()),
        ).toBeLessThanOrEqual(2);
      }
    }
    const [small] = [...sampler([3, 2, 1], 16, 4, 'smaller_batch').sampler];
    expect([...small!].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('draws about as many images an epoch as the subset has', () => {
    for (const smallClassAction of smallClassActions) {
      for (const t of trials) {
        let drawn = 0;
        const epochs = 20;
        const batches = new AdaptiveClassBalancedSampler({
          ...contextOf(t, new Random(t.seed)),
          smallClassAction,
        });
        for (let epoch = 0; epoch < epochs; epoch++)
          for (const batch of batches) drawn += batch.length / t.replicas;
        const mean = drawn / epochs;
        const largest = t.batchSize / t.replicas;
        if (batches.length > 1) expect(mean).toBeLessThanOrEqual(t.labels.length * 1.15);
        expect(mean).toBeGreaterThan(
          Math.min(1, t.labels.length / largest) * 0.85 * (t.labels.length - largest),
        );
      }
    }
  });

  it('refuses an unknown action', () => {
    const labels = Int32Array.of(0, 0, 1, 1);
    const smallClassAction = 'drop' as SmallClassAction;
    const random = new Random(1);
    expect(
      () =>
        new AdaptiveClassBalancedSampler({
          labels,
          batchSize: 4,
          samplesPerClass: 2,
          smallClassAction,
          random,
        }),
    ).toThrow(/smallClassAction: expected one of duplicate, sample_other, smaller_batch, got "drop"/);
  });
});

describe('RandomBatchSampler', () => {
  it('deals all images before one comes again', () => {
    const labels = Int32Array.from({ length: 24 }, (_, image) => image % 6);
    const batches = [...new RandomBatchSampler({ labels, batchSize: 8, random: new Random(2) })];
    expect(batches.flatMap((batch) => [...batch]).sort((a, b) => a - b)).toEqual([...labels.keys()]);
  });

  it('puts an image of another class into a batch of one class', () => {
    const labels = new Int32Array(200);
    labels[17] = 1;
    for (const batch of new RandomBatchSampler({ labels, batchSize: 4, random: new Random(2) }))
      expect(batch).toContain(17);
  });
});

describe('RandomBatchSampler with a least number of classes', () => {
  it('puts so many into every batch, or all that there are', () => {
    const labels = Int32Array.from({ length: 300 }, (_, image) => (image < 290 ? 0 : image % 5));
    const classesIn = (minClasses: number, all: Int32Array) =>
      [...new RandomBatchSampler({ labels: all, batchSize: 6, minClasses, random: new Random(3) })].map(
        (batch) => new Set([...batch].map((position) => all[position])).size,
      );
    expect(Math.min(...classesIn(2, labels))).toBe(2);
    expect(Math.min(...classesIn(4, labels))).toBe(4);
    expect(new Set(classesIn(6, Int32Array.of(0, 0, 0, 1, 1, 2)))).toEqual(new Set([3]));
  });

  it('refuses more than a batch has images', () => {
    const labels = Int32Array.of(0, 0, 1, 1);
    for (const minClasses of [1, 5, 2.5]) {
      expect(
        () => new RandomBatchSampler({ labels, batchSize: 4, minClasses, random: new Random(1) }),
      ).toThrow(UserError);
    }
  });
});

describe('NPairsSampler', () => {
  const labels = Int32Array.from({ length: 50 }, (_, image) => image % 10);

  it('draws pairs of distinct classes, and enough batches for all images', () => {
    const sampler = new NPairsSampler({ labels, batchSize: 8, random: new Random(4) });
    expect(sampler.length).toBe(7);
    for (const batch of sampler) {
      expect(batch).toHaveLength(8);
      expect([...counts([...batch].map((position) => labels[position])).values()]).toEqual([2, 2, 2, 2]);
      expect(new Set(batch).size).toBe(8);
    }
  });

  it('takes more of each where there are fewer classes than pairs', () => {
    const few = Int32Array.of(0, 0, 1, 1, 2);
    for (const batch of new NPairsSampler({ labels: few, batchSize: 8, random: new Random(4) })) {
      const drawn = counts([...batch].map((position) => few[position]));
      expect([...drawn.values()].sort()).toEqual([2, 2, 4]);
    }
  });
});

describe('Deck', () => {
  it('deals every card as often as any other, and no card twice in a hand that fits', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed);
      const cards = Int32Array.from({ length: 1 + random.int(9) }, (_, index) => index + 100);
      const deck = new Deck(cards, random);
      const dealt: number[] = [];
      for (let hand = 0; hand < 40; hand++) {
        const size = 1 + random.int(12);
        const held = [...deck.deal(size)];
        expect(held).toHaveLength(size);
        expect(Math.max(...counts(held).values())).toBe(Math.ceil(size / cards.length));
        dealt.push(...held);
      }
      const often = cards.reduce((most, card) => Math.max(most, counts(dealt).get(card) ?? 0), 0);
      const seldom = cards.reduce((least, card) => Math.min(least, counts(dealt).get(card) ?? 0), Infinity);
      expect(often - seldom).toBeLessThanOrEqual(1);
    }
  });
});
