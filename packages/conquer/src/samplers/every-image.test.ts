import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { OptionError } from '../option-error.js';
import { Random } from '../random.js';
import type { BatchSampler } from './batch-sampler.js';
import { dealApart, roundsFor } from './deal-apart.js';
import { HardImageSampler, hardImages } from './hard-images.js';
import { HierarchicalSampler, hierarchical } from './hierarchical.js';
import { PkSampler } from './pk.js';

/** Classes of these sizes, in random order, and categories of two classes each. */
function data(sizes: readonly number[], seed = 1) {
  const random = new Random(seed);
  const labels = random.shuffle(
    Int32Array.from(sizes.flatMap((size, label) => new Array<number>(size).fill(label))),
  );
  return { labels, random, categories: sizes.map((_, label) => `category ${label >> 1}`) };
}

const sizesOf: number[][] = [
  [4, 4, 4, 4, 4, 4],
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  [90, 2, 1, 1, 3, 2],
  [1, 1, 1, 1, 1],
  Array.from({ length: 60 }, (_, label) => 1 + ((label * 7) % 13)),
  [2, 1],
];

describe.each(sizesOf.map((sizes) => [sizes.slice(0, 10).join(', '), sizes] as const))(
  'of classes of %s images',
  (_, sizes) => {
    const { labels, random, categories } = data(sizes);
    const made: [string, BatchSampler][] = [
      ['pk', new PkSampler({ labels, random, batchSize: 8, samplesPerClass: 2 })],
      [
        'hierarchical',
        new HierarchicalSampler({ labels, random, categories, batchSize: 8, samplesPerClass: 2 }),
      ],
    ];

    it.each(made)(
      '%s shows every image in an epoch, none twice in a batch, in `length` batches',
      (_, sampler) => {
        for (let epoch = 0; epoch < 5; epoch++) {
          const batches = [...sampler];
          expect(batches).toHaveLength(sampler.length);
          expect(new Set(batches.flatMap((batch) => [...batch])).size).toBe(labels.length);
          for (const batch of batches) {
            expect(new Set(batch).size).toBe(batch.length);
            expect(batch.length).toBe(Math.min(8, labels.length));
          }
        }
      },
    );
  },
);

describe('PkSampler', () => {
  it('has the batches of an epoch that there have to be, and no more', () => {
    const of = (sizes: number[]) =>
      new PkSampler({ labels: data(sizes).labels, random: new Random(1), batchSize: 8, samplesPerClass: 2 })
        .length;
    expect(of([4, 4, 4, 4])).toBe(2);
    expect(of([4, 4, 4, 4, 1])).toBe(3); // one image more is one batch more: it is not left out
    expect(of([90, 2, 1, 1])).toBe(45); // pairs of the large class
  });

  it('gives K images of each of P classes where there are enough', () => {
    const { labels, random } = data(new Array<number>(12).fill(6));
    for (const batch of new PkSampler({ labels, random, batchSize: 12, samplesPerClass: 3 })) {
      const counts = new Map<number, number>();
      for (const image of batch) counts.set(labels[image]!, (counts.get(labels[image]!) ?? 0) + 1);
      expect([...counts.values()]).toEqual([3, 3, 3, 3]);
    }
  });

  it('draws other batches each epoch', () => {
    const { labels, random } = data(new Array<number>(12).fill(6));
    const sampler = new PkSampler({ labels, random, batchSize: 12, samplesPerClass: 3 });
    expect([...sampler]).not.toEqual([...sampler]);
  });
});

describe('HierarchicalSampler', () => {
  const sizes = new Array<number>(32).fill(4);
  const labels = Int32Array.from(sizes.flatMap((size, label) => new Array<number>(size).fill(label)));
  const categories = sizes.map((_, label) => `category ${label % 4}`);
  const make = (categoriesPerBatch: number, batchSize = 16) =>
    new HierarchicalSampler({
      labels,
      categories,
      categoriesPerBatch,
      batchSize,
      samplesPerClass: 2,
      random: new Random(3),
    });

  it.each([1, 2, 4])('puts classes of %i categories into a batch, as many of each', (count) => {
    for (const batch of make(count)) {
      const classes = new Map<string, Set<number>>();
      for (const image of batch) {
        const category = categories[labels[image]!]!;
        classes.set(category, (classes.get(category) ?? new Set()).add(labels[image]!));
      }
      expect([...classes.values()].map((of) => of.size)).toEqual(new Array(count).fill(8 / count));
    }
  });

  it('has as many of each category where one has most of the images', () => {
    // One category of 20 classes, the others one each.
    const uneven = sizes.map((_, label) => (label < 20 ? 'large' : `small ${label}`));
    const sampler = new HierarchicalSampler({
      labels,
      categories: uneven,
      batchSize: 16,
      samplesPerClass: 2,
      random: new Random(3),
    });
    for (const batch of sampler) {
      expect(batch).toHaveLength(16);
      const of = new Set([...batch].map((image) => uneven[labels[image]!]));
      expect(of.size).toBeGreaterThanOrEqual(2);
    }
  });

  it('takes all categories where there are fewer, and refuses more than a batch has classes', () => {
    expect([...make(8)]).toHaveLength(make(4).length);
    expect(() => make(9)).toThrow(OptionError);
    expect(() => make(9)).toThrow(/categoriesPerBatch: expected at most the 8 classes of a batch, got 9/);
  });

  it('refuses classes without a category, and data sets that say none, in words', () => {
    const context = { labels, random: new Random(1), batchSize: 16, samplesPerClass: 2, replicas: 1 };
    expect(() => new HierarchicalSampler({ labels, categories: ['a'], random: new Random(1) })).toThrow(
      UserError,
    );
    const options = hierarchical.options.parse({});
    expect(() => hierarchical.build(options, context)).toThrow(
      /hierarchical needs the category of each class, which this data set does not say/,
    );
    expect([...hierarchical.build(options, { ...context, categories })].length).toBeGreaterThan(0);
  });
});

describe('HardImageSampler', () => {
  const labels = Int32Array.from({ length: 120 }, (_, image) => image >> 2);
  const counts = (of: (position: number) => number | null, hardness: number) => {
    const sampler = new HardImageSampler({
      labels,
      difficulty: { of },
      hardness,
      batchSize: 8,
      samplesPerClass: 2,
      random: new Random(5),
    });
    const drawn = new Float64Array(120);
    for (let epoch = 0; epoch < 40; epoch++)
      for (const batch of sampler) for (const image of batch) drawn[image]!++;
    return drawn;
  };
  const mean = (drawn: Float64Array, of: (image: number) => boolean) => {
    const some = [...drawn.keys()].filter(of);
    return some.reduce((sum, image) => sum + drawn[image]!, 0) / some.length;
  };

  it('draws difficult images more often, and those that were not seen yet', () => {
    const easy = (image: number) => image % 4 !== 0;
    for (const hard of [0.8, null]) {
      const drawn = counts((image) => (easy(image) ? -0.5 : hard), 2);
      expect(mean(drawn, (image) => !easy(image))).toBeGreaterThan(2 * mean(drawn, easy));
      expect(Math.min(...drawn)).toBeGreaterThan(0);
    }
  });

  it('draws all alike at a hardness of 0', () => {
    const drawn = counts((image) => (image % 4 === 0 ? 2 : -2), 0);
    const [hard, easy] = [mean(drawn, (image) => image % 4 === 0), mean(drawn, (image) => image % 4 !== 0)];
    expect(Math.abs(hard / easy - 1)).toBeLessThan(0.1);
  });

  it('gives full batches of all classes wanted where nearly all weight is on one class', () => {
    const sampler = new HardImageSampler({
      labels,
      difficulty: { of: (image) => (image < 4 ? 2 : -2) },
      hardness: 100,
      batchSize: 8,
      samplesPerClass: 2,
      random: new Random(5),
    });
    for (const batch of sampler) {
      expect(batch).toHaveLength(8);
      expect(new Set([...batch].map((image) => labels[image])).size).toBe(4);
    }
  });

  it('is not built where nobody follows how difficult images are', () => {
    const context = { labels, random: new Random(1), batchSize: 16, samplesPerClass: 2, replicas: 1 };
    expect(() => hardImages.build(hardImages.options.parse({}), context)).toThrow(OptionError);
  });
});

it('deals no two of one kind into a round, in the fewest rounds', () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new Random(seed);
    const kinds = Array.from({ length: 1 + random.int(12) }, (_, kind) =>
      new Array<number>(random.int(9)).fill(kind),
    );
    const width = 1 + random.int(5);
    const rounds = roundsFor(
      kinds.map(({ length }) => length),
      width,
    );
    const dealt = dealApart(kinds, rounds);
    for (const round of dealt) {
      expect(round.length).toBeLessThanOrEqual(width);
      expect(new Set(round).size).toBe(round.length);
    }
    expect(dealt.flat()).toHaveLength(kinds.flat().length);
  }
});
