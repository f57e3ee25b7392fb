// The board's cells, as data: what each trains, on what, from which seed. A cell's folder is named by its id; `needs` are cells that it goes by.
import { less, today, variants } from './variants.mjs';

const SEEDS = [1, 2, 3, 4, 5];
/** Photographs of 96 pixels, and drawings of 64, so that two cores see some in a minute. */
const NETWORKS = {
  scratch: { network: 'resnet18', imageSize: 64, resize: 72, batchNorm: 'trained', embeddingMultiplier: 1 },
  imagenet: {
    network: 'tf_efficientnet_lite0.in1k',
    imageSize: 96,
    resize: 110,
    batchNorm: 'frozen',
    embeddingMultiplier: 10,
  },
};
const RATES = { scratch: [3e-4, 1e-3, 3e-3], imagenet: [3e-5, 1e-4, 3e-4] };
/** Images a batch on kept features: less than a learner of four has. */
const KEPT = { emoji: 128, groceries: 128, omniglot: 128, stamps: 32 };
/** The same drawings with fewer classes: whether it is their number that division goes by. */
const FEWER = { 'emoji-800': 128, 'emoji-400': 128, 'emoji-80': 32 };
const learners = Object.fromEntries(['one', 'four', 'sixteen'].map((name) => [name, variants[name]]));

/** Division on kept features: cheap, so that every set and seed has every cell. */
const kept = Object.entries({ ...KEPT, ...FEWER }).flatMap(([set, batch]) =>
  SEEDS.flatMap((seed) =>
    Object.entries(set in FEWER ? learners : { ...variants, ...today }).map(([variant, { like }]) => ({
      id: `kept/${set}/${variant}/${seed}`,
      script: 'kept',
      ...{ set, seed, variant, batch, start: 400, steps: 1000, minutesAbout: 0.4 },
      ...(like && { needs: [`kept/${set}/${like}/${seed}`] }),
    })),
  ),
);

/** Division of the network itself: emoji from scratch by the recipe of docs/results.md, and photographs from ImageNet. */
const trained = {
  emoji: { recipe: 'divide-emoji', base: { divide: { hierarchy: 'none' } }, minutesAbout: 4 },
  groceries: {
    recipe: 'photos',
    // Each is a quarter of an hour.
    names: ['one', 'four', 'classes'],
    seeds: SEEDS.slice(0, 3),
    base: {
      data: { imageSize: 96, resize: 110, cache: true, batchSize: 64 },
      divide: { hierarchy: 'none', divideFrom: 6, modEpoch: 1 },
      train: { epochs: 12 },
    },
    minutesAbout: 15,
  },
};
const network = Object.entries(trained).flatMap(([set, { names, seeds = SEEDS, minutesAbout, ...how }]) =>
  seeds.flatMap((seed) =>
    (names ?? Object.keys(variants)).map((variant) => ({
      id: `network/${set}/${variant}/${seed}`,
      script: 'network',
      ...{ set, seed, variant, ...how, minutesAbout },
      ...(variants[variant].like && {
        needs: [variants[variant].like, 'one'].map((name) => `network/${set}/${name}/${seed}`),
      }),
    })),
  ),
);

/** Less arithmetic to the same quality, on photographs; and bfloat16 from random weights too. */
const lessWork = Object.entries({
  groceries: {
    names: Object.keys(less),
    recipe: 'photos',
    base: {
      data: { imageSize: 96, resize: 110, cache: true, batchSize: 64 },
      divide: { numLearners: 1 },
      train: { epochs: 8 },
    },
  },
  emoji: { names: ['whole', 'bfloat16'], recipe: 'divide-emoji', base: { divide: { numLearners: 1 } } },
}).flatMap(([set, { names, recipe, base }]) =>
  SEEDS.slice(0, 2).flatMap((seed) =>
    names.map((variant) => ({
      id: `less/${set}/${variant}/${seed}`,
      script: 'network',
      ...{ set, seed, variant, recipe, clock: 'all', minutesAbout: 5, base },
    })),
  ),
);

/** Settings of pytorch-metric-learning's own example (MetricLossOnly), on the row's network. */
const example = {
  ...{ loss: 'triplet', learningRate: 1e-5, embeddingMultiplier: 10, weightDecay: 1e-4 },
  ...{ batch: 32, perClass: 4, dim: 64, minArea: 0.16 },
};
const rows = [
  ['emoji', 'scratch'],
  ['groceries', 'imagenet'],
  ['omniglot', 'scratch'],
  ['stamps', 'imagenet'],
];
const common = { batch: 64, perClass: 4, dim: 256, weightDecay: 1e-4 };
/** Where a batch of 64 has more classes than the search trains on. */
const smaller = { stamps: { batch: 32 } };

/**
 * Time to quality: the peer's search of six points, of a minute each, on classes of the training half; then by the best of them both sides train, 30
 * minutes from the first seed, and five from two others. conquer has no search of its own.
 */
const time = rows.flatMap(([set, start]) => {
  const at = `time/${set}-${start}`;
  const points = ['margin', 'multi-similarity'].flatMap((loss) =>
    RATES[start].map((learningRate) => ({
      ...NETWORKS[start],
      ...common,
      ...smaller[set],
      loss,
      learningRate,
    })),
  );
  const searches = points.map((settings) => ({
    id: `${at}/search-pml/${settings.loss}-${settings.learningRate}`,
    script: 'peer',
    ...{ set, seed: 1, search: true, settings, minutes: 1, minutesAbout: 2 },
  }));
  const best = { bestOf: 'pml', needs: searches.map(({ id }) => id) };
  const runs = SEEDS.slice(0, 3).flatMap((seed) => {
    const long = seed === 1 ? { minutes: 30, minutesAbout: 36 } : { minutes: 5, minutesAbout: 7 };
    const cell = (side, script, how) => ({ id: `${at}/${side}/${seed}`, script, set, seed, ...how, ...long });
    return [
      cell('pml', 'peer', best),
      cell('conquer', 'network', best),
      cell('conquer-averaged', 'network', { ...best, but: { average: true } }),
      cell('pml-example', 'peer', { settings: { ...NETWORKS[start], ...example } }),
      ...(start === 'imagenet'
        ? [{ id: `${at}/fit/${seed}`, script: 'fit', set, seed, minutesAbout: 10 }]
        : []),
    ];
  });
  return [...searches, ...runs];
});

export const plan = [...kept, ...network, ...lessWork, ...time];

/** The same kinds of cells, each of seconds: what the board's test runs from one end to the other. */
const tiny = { set: 'miniature', minutesAbout: 0.2 };
const tinySettings = {
  ...NETWORKS.scratch,
  ...common,
  batch: 16,
  dim: 16,
  imageSize: 32,
  resize: 36,
  loss: 'margin',
  learningRate: 1e-3,
};
export const miniature = [
  ...[1, 2].flatMap((seed) =>
    ['one', 'four', 'distilled', 'longer'].map((variant) => ({
      id: `kept/miniature/${variant}/${seed}`,
      script: 'kept',
      ...{ ...tiny, seed, variant, batch: 16, start: 50, steps: 200, imageSize: 32, dim: 16 },
      ...(variant === 'longer' && { needs: [`kept/miniature/four/${seed}`] }),
    })),
  ),
  ...['one', 'four'].map((variant) => ({
    id: `network/miniature/${variant}/1`,
    script: 'network',
    ...{ ...tiny, seed: 1, variant, recipe: 'divide-emoji' },
    base: {
      data: { batchSize: 16 },
      model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 16 },
      divide: { hierarchy: 'none', divideFrom: 1, forceFullEmbeddingEpoch: null },
      train: { epochs: 3 },
    },
  })),
  {
    id: 'time/miniature-scratch/search-pml/margin-0.001',
    script: 'peer',
    ...{ ...tiny, seed: 1, search: true, settings: tinySettings, minutes: 0.02 },
  },
  ...Object.entries({ pml: {}, conquer: {}, 'conquer-averaged': { but: { average: true } } }).map(
    ([side, how]) => ({
      id: `time/miniature-scratch/${side}/1`,
      script: side === 'pml' ? 'peer' : 'network',
      ...{ ...tiny, seed: 1, bestOf: 'pml', minutes: 0.05, ...how },
      needs: ['time/miniature-scratch/search-pml/margin-0.001'],
    }),
  ),
  {
    id: 'time/miniature-scratch/fit/1',
    script: 'fit',
    ...{
      ...tiny,
      seed: 1,
      options: { imageSize: 32, views: 1, splits: 2, steps: 100, heads: ['linear'], choose: 'linear' },
    },
  },
];
