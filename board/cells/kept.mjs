// A cell on kept features of the built-in network: one linear layer learns, all learners share the start. `node board/cells/kept.mjs FOLDER`,
// where cell.json says what; leaves result.json.
import { join } from 'node:path';
import { F, scope } from '@conquer-dml/torch';
import { builtInParts } from '../../packages/conquer/dist/experiment/experiment.js';
import { headDefaults } from '../../packages/conquer/dist/fit/head-recipes.js';
import { embedded, trainHead } from '../../packages/conquer/dist/fit/head-training.js';
import { keepFeatures } from '../../packages/conquer/dist/fit/keep-features.js';
import { drawnViews } from '../../packages/conquer/dist/fit/kept-data.js';
import { withEpochs } from '../../packages/conquer/dist/fit/try-head.js';
import {
  evaluateEmbeddings,
  mergeExperiments,
  resolveExperiment,
} from '../../packages/conquer/dist/index.js';
import { preprocessingFor } from '../../packages/conquer/dist/models/preprocessing.js';
import { openPretrained } from '../../packages/conquer/dist/models/weights/pretrained.js';
import { Random } from '../../packages/conquer/dist/random.js';
import { splitOf } from '../data.mjs';
import { BOARD, machine, othersHeld, ownResultOf, readJson, THREADS, writeJson } from '../places.mjs';
import { heads } from '../today/adapters.mjs';
import { distil } from '../today/distill.mjs';
import { centresOf, maskedQueries } from '../today/query-mask.mjs';
import { variantOf } from '../variants.mjs';

const NETWORK = 'tf_efficientnet_lite0.in1k';
/** Epochs between two looks at the test classes. */
const LOOK = 2;
const EPOCH = 50;
const parts = { ...builtInParts, heads: [...builtInParts.heads, ...heads] };

/** Of all images of a set, kept in the board's folder, and what they are features of. */
async function featuresOf(folder, images, imageSize = null) {
  const { backbone, input, id } = await openPretrained(NETWORK);
  const network = backbone.eval();
  const seen = preprocessingFor(input, imageSize === null ? {} : { size: imageSize });
  const kept = await keepFeatures(
    network,
    images.map(({ path }) => join(folder, path)),
    { id, seen, views: 1, threads: THREADS, folder: join(BOARD, 'features') },
  );
  return { kept, network: { name: backbone.name, featureSize: backbone.featureSize, input } };
}

/** Fractions among rows (N, D) of length 1; queries may be others, in the same order. */
function scoresOf(rows, labels, queries = rows) {
  const own = new Map(Array.from(labels.keys(), (at) => [at, [at]]));
  const gallery = queries === rows ? {} : { gallery: { embeddings: rows, labels, own, same: own } };
  return evaluateEmbeddings(queries, labels, {
    recallAt: [1],
    nmi: false,
    metrics: ['R@1', 'MAP@R'],
    ...gallery,
  });
}

/** The experiment of a cell: a start of one learner, then as the variant says. */
function experimentOf({ variant, seed, start, batch, dim = 512 }, photos) {
  const base = {
    data: { batchSize: batch },
    model: { backbone: { name: NETWORK }, batchNorm: 'frozen', embeddingDim: dim, head: { name: 'linear' } },
    divide: {
      hierarchy: 'none',
      divideFrom: start / EPOCH,
      modEpoch: 2,
      clusterLayer: 'final',
      freezeMasksWithOneLearner: true,
    },
    train: { seed },
  };
  const given = mergeExperiments(headDefaults, base, variantOf(variant).experiment);
  return withEpochs(resolveExperiment(given, parts), photos, 1_000_000);
}

async function run(cell) {
  const before = machine();
  const { folder, images, parts: places } = await splitOf(cell.set, cell.seed);
  const { kept, network } = await featuresOf(folder, images, cell.imageSize ?? null);
  const names = new Map();
  const numberOf = (label) => names.get(label) ?? names.set(label, names.size).get(label);
  const split = (part) => {
    const photos = places[part].filter((at) => kept.bad[at] === 0);
    names.clear();
    return { photos, labels: photos.map((at) => numberOf(images[at].label)) };
  };
  const [train, test] = [split('train'), split('test')];
  const frozen = scope(() => scoresOf(F.normalize(kept.plain(test.photos)), test.labels));
  const variant = variantOf(cell.variant);
  const experiment = experimentOf(cell, train.photos.length);
  const starts = experiment.divide.divideFrom;
  const most = variant.distilled ? Math.round((3 * cell.steps) / 4) : cell.steps;
  // Of the processor, which other work on the machine does not stretch.
  const until = variant.like ? ownResultOf(cell.needs[0]).processorSeconds : null;

  let [steps, seconds, mark] = [0, 0, performance.now()];
  let division = null;
  const curve = [];
  const look = (model) =>
    scope(() => {
      const found = scoresOf(embedded(model, kept, test.photos), test.labels);
      curve.push({ seconds, steps, ...found });
      return found;
    });
  const cpu = process.cpuUsage();
  const used = () => {
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / 1e6;
  };
  const model = await trainHead({
    ...{ experiment, kept, network, train, parts },
    onDivision: (next) => {
      if (next.numClusters > 1) division = next;
    },
    onSteps: (done) => {
      steps += done;
    },
    onEpoch: (epoch, trained) => {
      seconds += (performance.now() - mark) / 1000;
      const ended = until === null ? steps >= most : used() >= until;
      // At the end of the start too, which is to be the same in all variants.
      if (ended || epoch % LOOK === LOOK - 1 || epoch === starts - 1) look(trained);
      if (epoch === starts - 1) curve.at(-1).start = true;
      mark = performance.now();
      return ended;
    },
  });
  const extras = {};
  if (division) {
    const masked = scope(() => {
      const centres = centresOf(embedded(model, kept, train.photos), division.clusters, division.numClusters);
      const rows = embedded(model, kept, test.photos);
      return scoresOf(rows, test.labels, maskedQueries(rows, centres, model.learnerMasks.effective()));
    });
    extras['mask by the query'] = masked;
  }
  if (variant.distilled) {
    const random = new Random(cell.seed);
    const { batchSize } = experiment.data;
    mark = performance.now();
    distil(model, {
      steps: cell.steps - steps,
      learningRate: experiment.optimize.learningRate,
      batch: () => {
        const some = random.permutation(train.photos.length).subarray(0, batchSize);
        return {
          rows: drawnViews(
            kept,
            some.map((at) => train.photos[at]),
            random,
          ),
          // Images that were alone of their class in a cluster have none: the first learner's relations are as good as any.
          clusters: some.map((at) => Math.max(0, division.clusters[at])),
        };
      },
    });
    seconds += (performance.now() - mark) / 1000;
    steps = cell.steps;
    look(model);
  }
  scope(() => {
    const rows = embedded(model, kept, test.photos);
    for (const share of [2, 4]) {
      const size = rows.size(1) / share;
      extras[`first 1/${share} of the dimensions`] = scoresOf(
        F.normalize(rows.narrow(1, 0, size)),
        test.labels,
      );
    }
  });
  const processorSeconds = used();
  const { seconds: _, steps: __, start: ___, ...scores } = curve.at(-1);
  const memory = process.resourceUsage().maxRSS * 1024;
  kept[Symbol.dispose]();
  return {
    scores,
    frozen,
    train: { classes: new Set(train.labels).size, images: train.photos.length },
    extras,
    curve,
    steps,
    seconds,
    processorSeconds,
    memory,
    machine: before,
    others: othersHeld(before, seconds, processorSeconds),
  };
}

const [folder] = process.argv.slice(2);
const cell = readJson(join(folder, 'cell.json'));
writeJson(join(folder, 'result.json'), { cell, ...(await run(cell)) });
