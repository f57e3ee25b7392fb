// The rows of the table: what is measured, what it must reach, and what the machine allows.

import { emojiImages } from './emoji-images.mjs';
import { imageNumbers, NETWORKS, networkFile } from './networks.mjs';
import {
  EMBEDDING,
  EMBEDDING_BFLOAT16,
  FAISS,
  LOADER,
  NETWORK,
  NETWORK_BFLOAT16,
  STEP_BFLOAT16,
  STEP as STEP_SETTINGS,
  TIMM,
  TRANSFORMER,
} from './peer-settings.mjs';
import { photoFolder } from './photos.mjs';

/**
 * @typedef {object} Row
 * @property {string} name `--row NAME`; its sides are ours/NAME.mjs and peers/NAME.py unless `side` says otherwise
 * @property {string} work what the table says
 * @property {number} bar ours / peer's time, or seconds where `absolute`
 * @property {boolean} [absolute] no peer: our time in seconds is held to the bar
 * @property {string} [side] the name of both sides' files
 * @property {string[]} [args] for both sides
 * @property {string[]} [ours] arguments of our side beside them
 * @property {import('./peer-settings.mjs').Setting[]} [peers] what the peer is tried as; the fastest counts (AS_IT_COMES)
 * @property {string[]} [instructions] of the processor, of which it has to have one for the row to make sense
 * @property {(make: typeof import('./data.mjs').dataFiles) => Promise<string[]>} [data] makes inputs, gives arguments
 * @property {number} [repeats] measured runs of each side, after one that warms up (3)
 * @property {boolean} [cold] no warm-up run (for long work)
 * @property {Record<string, { within: number, oneSided?: boolean }>} [agree] extras of both sides that must be
 *   equal up to this fraction; one-sided: ours may be lower
 * @property {Record<string, number>} [most] extras of ours and the most they may be, such as extraBytes
 * @property {Limit | ((ours: Record<string, number>) => Limit)} [limit] what must be done at least; may depend on what our
 *   side answered
 *
 * @typedef {{ flops?: number, bytes?: number, nodeStarts?: number, what: string }} Limit
 */

/** A batch of 512 images of 224 px in float32. */
const PHOTO_BATCHES = {
  bytes: 512 * 3 * 224 * 224 * 4,
  what: 'the batches written; what decoding takes is not counted',
};
/** Images of emoji to train on, and to evaluate on. */
const [EMOJI_TRAIN, EMOJI_TEST] = [5850, 5822];

const STEP = 3; // forward and the two products of backward
/** Multiply-adds × 2 of a forward pass per image. */
const RESNET50_224 = 8.2e9;
const RESNET18_64 = 0.297e9;
const DEMO_NET_32 = 18.6e6;

/** Of which a processor has one where bfloat16 is faster than float32. */
const BFLOAT16 = ['avx512_bf16', 'amx_bf16', 'bf16'];
const LITE0 = 'tf_efficientnet_lite0.in1k';
const VIT_STEP = ['--arch', 'vit_small_patch16_224.augreg_in21k', '--batch', '8', '--size', '224'];

/** Embedding without decoding, of a network that stays open. @returns {Row} */
function networkRow(key, batch, kind) {
  const { arch, size, work } = NETWORKS[key];
  const how = { float32: '', bf16: ' in bfloat16', int8: ' in 8 bits by onnxruntime-node, against float32' };
  const extra = { float32: [], bf16: ['--precision', 'bfloat16'], int8: [] };
  return {
    name: `network-${key}${kind === 'float32' ? '' : `-${kind}`}-${batch}`,
    work: `embedding a batch of ${batch} without decoding${how[kind]}, ${work} at ${size} px`,
    bar: 1,
    side: 'embed-network',
    args: [
      '--arch',
      arch,
      '--size',
      `${size}`,
      '--batch',
      `${batch}`,
      '--turns',
      `${{ 1: 15, 8: 5, 32: 2 }[batch]}`,
      ...extra[kind],
    ],
    ours: kind === 'int8' ? ['--engine', 'int8'] : [],
    data: async () => [
      ...['--weights', await networkFile(arch), '--numbers', await imageNumbers(32, size)],
      ...['--photos', await photoFolder(64)],
    ],
    peers: kind === 'bf16' ? NETWORK_BFLOAT16 : NETWORK,
    ...(kind === 'bf16' && { instructions: BFLOAT16 }),
    // Of 8 bits the numbers are others: docs/export.md says what that costs.
    ...(kind === 'float32' && { agree: { check: { within: 1e-3 } } }),
    repeats: 3,
  };
}

const networkRows = ['float32', 'bf16', 'int8'].flatMap((kind) =>
  Object.keys(NETWORKS).flatMap((key) => [1, 8, 32].map((batch) => networkRow(key, batch, kind))),
);

/** @type {Row[]} */
export const rows = [
  {
    name: 'step-resnet50',
    work: 'training step, ResNet-50, batch 8, 224 px, frozen BN, 8 learners: forward, mask loss, margin loss with distance-weighted mining, backward, Adam',
    bar: 0.9,
    side: 'step',
    peers: STEP_SETTINGS,
    args: ['--arch', 'resnet50', '--batch', '8', '--size', '224', '--learners', '8', '--bn', 'frozen'],
    limit: { flops: 8 * STEP * RESNET50_224, what: 'convolutions, three products each' },
  },
  {
    name: 'step-resnet50-bn',
    work: 'the same with trained BN',
    bar: 1,
    side: 'step',
    peers: STEP_SETTINGS,
    args: ['--arch', 'resnet50', '--batch', '8', '--size', '224', '--learners', '8', '--bn', 'trained'],
    limit: { flops: 8 * STEP * RESNET50_224, what: 'convolutions, three products each' },
  },
  {
    name: 'step-resnet18',
    work: 'training step, ResNet-18, batch 80, 64 px, 32 learners',
    bar: 0.9,
    side: 'step',
    peers: STEP_SETTINGS,
    args: ['--arch', 'resnet18', '--batch', '80', '--size', '64', '--learners', '32', '--bn', 'trained'],
    limit: { flops: 80 * STEP * RESNET18_64, what: 'convolutions, three products each' },
  },
  {
    name: 'step-lite0',
    work: 'training step, EfficientNet-Lite0 (the built-in network), batch 64, 96 px, frozen BN',
    bar: 0.9,
    side: 'step',
    peers: STEP_SETTINGS,
    args: ['--arch', LITE0, '--batch', '64', '--size', '96', '--learners', '1', '--bn', 'frozen'],
  },
  // For CPUs with instructions for bfloat16: without, both sides are several times slower than in float32.
  ...[
    ['step-resnet50-bf16', 'resnet50', 8, 224, 8, 'frozen', 0.85],
    ['step-resnet18-bf16', 'resnet18', 80, 64, 32, 'trained', 0.8],
    ['step-vit-small-bf16', VIT_STEP[1], 8, 224, 8, 'frozen', 0.85],
    ['step-lite0-bf16', LITE0, 64, 96, 1, 'frozen', 0.9],
  ].map(([name, arch, batch, size, learners, bn, bar]) => ({
    name,
    work: `training step in bfloat16, ${arch}, batch ${batch}, ${size} px`,
    bar,
    side: 'step',
    args: [
      ...['--arch', arch, '--batch', `${batch}`, '--size', `${size}`, '--learners', `${learners}`],
      ...['--bn', bn, '--precision', 'bfloat16'],
    ],
    peers: STEP_BFLOAT16,
    instructions: BFLOAT16,
  })),
  {
    name: 'mask-loss',
    work: 'mask orthogonality loss and its gradient, 32 learners × 512, against a loop over pairs',
    bar: 0.02,
    repeats: 7,
    limit: { bytes: 3 * 4 * 32 * 512, what: 'the masks read, their gradient written' },
  },
  {
    name: 'mining',
    work: 'distance-weighted mining, batch 128 × 512, to index tuples, against a loop over anchors',
    bar: 0.1,
    repeats: 7,
    limit: { flops: 2 * 128 * 128 * 512, what: 'the matrix of distances' },
  },
  {
    name: 'decode',
    work: 'decoding: 500 × 375 JPEGs → random resized crop 224 + flip + normalise, 2 threads',
    bar: 0.45,
    data: async () => ['--folder', await photoFolder(512)],
    repeats: 7,
    agree: { images: { within: 0 } },
    peers: LOADER,
    limit: PHOTO_BATCHES,
  },
  {
    name: 'decode-cached',
    work: 'the same from the cache of resized images',
    bar: 0.15,
    side: 'decode',
    args: ['--cache', 'yes'],
    data: async () => ['--folder', await photoFolder(512)],
    repeats: 7,
    agree: { images: { within: 0 } },
    peers: LOADER,
    limit: PHOTO_BATCHES,
  },
  {
    name: 'embed-resnet18',
    work: 'embedding 10,000 images for evaluation (decode included), ResNet-18 at 64 px',
    bar: 0.65,
    side: 'embed',
    args: ['--arch', 'resnet18', '--size', '64', '--images', '10000'],
    data: async () => ['--folder', await photoFolder(512)],
    agree: { images: { within: 0 } },
    peers: EMBEDDING,
    repeats: 2,
    cold: true,
    limit: { flops: 10_000 * RESNET18_64, what: 'convolutions alone' },
  },
  {
    name: 'embed-resnet50',
    work: 'embedding images for evaluation (decode included), ResNet-50 at 224 px (500 images: 10,000 take hours)',
    bar: 0.85,
    side: 'embed',
    args: ['--arch', 'resnet50', '--size', '224', '--images', '500'],
    data: async () => ['--folder', await photoFolder(512)],
    agree: { images: { within: 0 } },
    peers: EMBEDDING,
    repeats: 1,
    cold: true,
    limit: { flops: 500 * RESNET50_224, what: 'convolutions alone' },
  },
  {
    name: 'embed-resnet50-bf16',
    work: 'the same in bfloat16',
    bar: 1,
    side: 'embed',
    args: ['--arch', 'resnet50', '--size', '224', '--images', '500', '--precision', 'bfloat16'],
    data: async () => ['--folder', await photoFolder(512)],
    agree: { images: { within: 0 } },
    peers: EMBEDDING_BFLOAT16,
    instructions: BFLOAT16,
    repeats: 2,
    cold: true,
  },
  {
    name: 'recall-sop',
    peers: FAISS,
    work: 'Recall@{1, 10, 100, 1000} + MAP@R over 60,502 × 512, every image a query, exact',
    bar: 0.3,
    side: 'recall',
    data: async (make) => {
      const { embeddings, labels } = await make('sop');
      return ['--queries', embeddings, '--labels', labels];
    },
    repeats: 1,
    cold: true,
    agree: { check: { within: 1e-4 } },
    most: { extraBytes: 1.5 * 2 ** 30 },
    limit: { flops: 60_502 ** 2 * 512, what: 'half of the matrix product, by symmetry' },
  },
  {
    name: 'recall-inshop',
    peers: FAISS,
    work: 'the same with a gallery: 14,218 queries against 12,612',
    bar: 1,
    side: 'recall',
    data: async (make) => {
      const query = await make('inshop-query');
      const gallery = await make('inshop-gallery');
      const queries = ['--queries', query.embeddings, '--labels', query.labels];
      return [...queries, '--gallery', gallery.embeddings, '--gallery-labels', gallery.labels];
    },
    agree: { check: { within: 1e-4 } },
    limit: { flops: 2 * 14_218 * 12_612 * 512, what: 'the matrix product' },
  },
  ...[1, 10, 100].map((queries) => ({
    name: `search-${queries}`,
    work: `search for the 10 nearest of ${queries === 1 ? 'one query' : `${queries} queries`} among 100,000 × 384, exact, one thread, against the product and topk, which is not; extra overBare: against these two of our own binding`,
    // PyTorch's product of one row may be a matrix times a vector, as ours is.
    bar: 1.2,
    side: 'search',
    args: ['--queries', `${queries}`, '--k', '10', '--turns', queries === 100 ? '7' : '21'],
    data: async (make) => ['--data', (await make('gallery')).embeddings],
    agree: { check: { within: 1e-3 } },
    most: { overBare: 1.2 },
    limit:
      queries === 1
        ? { bytes: 4 * 100_000 * 384, what: 'the gallery read once' }
        : { flops: 2 * queries * 100_000 * 384, what: 'the matrix product, on two cores' },
  })),
  {
    name: 'kmeans',
    peers: FAISS,
    work: 'k-means, 60,000 × 2,048, K = 32, to the same objective, against 100 iterations of faiss',
    bar: 0.5,
    args: ['--clusters', '32'],
    data: async (make) => ['--data', (await make('features')).embeddings],
    repeats: 3,
    cold: true,
    agree: { objective: { within: 1e-3, oneSided: true } },
    limit: ({ iterations }) => ({
      flops: iterations * 2 * 60_000 * 2048 * 32,
      what: `a product of all rows with 32 centroids in each of its ${iterations} iterations`,
    }),
  },
  ...[8, 32, 128].map((clusters) => ({
    name: `kmeans-${clusters}`,
    peers: FAISS,
    work: `k-means, 60,502 × 512, K = ${clusters}, 25 iterations from random rows, against 25 of faiss on all rows`,
    bar: 0.5,
    side: 'kmeans',
    args: ['--clusters', `${clusters}`, '--iterations', '25'],
    data: async (make) => ['--data', (await make('sop')).embeddings],
    cold: true,
    // Random starts end in other places.
    agree: { objective: { within: 0.02, oneSided: true } },
    limit: {
      flops: 25 * 2 * 60_502 * 512 * clusters,
      what: `a product of all rows with ${clusters} centroids in each iteration`,
    },
  })),
  {
    name: 'nmi-sop',
    peers: FAISS,
    work: "NMI over SOP's test set: k-means with 11,316 clusters, to the same objective, against 100 iterations of faiss",
    bar: 0.35,
    args: ['--clusters', '11316'],
    data: async (make) => {
      const { embeddings, labels } = await make('sop');
      return ['--data', embeddings, '--labels', labels];
    },
    repeats: 1,
    cold: true,
    agree: { objective: { within: 1e-3, oneSided: true } },
    limit: { flops: 2 * 60_502 * 11_316 * 512, what: 'one product of all rows with all centroids' },
  },
  {
    name: 'epoch-emoji',
    work: 'one epoch on emoji, everything included: load, train, divide, evaluate',
    bar: 0.7,
    side: 'emoji',
    args: ['--recipe', 'bench/emoji-resnet18.json', '--epochs', '1'],
    data: async () => ['--images', await emojiImages()],
    repeats: 1,
    cold: true,
    peers: LOADER,
    limit: {
      flops: (STEP * EMOJI_TRAIN + EMOJI_TEST) * RESNET18_64,
      what: 'convolutions, of the epoch and one evaluation',
    },
  },
  {
    name: 'quality-emoji',
    work: "time to the Recall@1 on emoji that a script of the original's method reaches in 10 epochs",
    bar: 0.33,
    side: 'emoji',
    args: ['--recipe', 'demo', '--epochs', '10'],
    data: async () => ['--images', await emojiImages()],
    repeats: 1,
    cold: true,
    agree: { miss: { within: 0, oneSided: true } },
    limit: {
      flops: (STEP * 10 * 3 * EMOJI_TRAIN + 11 * EMOJI_TEST) * DEMO_NET_32,
      what: 'convolutions, of 10 epochs of 3 passes and 11 evaluations',
    },
  },
  {
    name: 'vit-small',
    work: 'forward and backward, ViT-S/16, batch 8, 224 px, against timm, seconds of the processor',
    bar: 1,
    side: 'vit',
    args: VIT_STEP,
    peers: TRANSFORMER,
    repeats: 3,
  },
  ...[
    ['embed-lite0', 'tf_efficientnet_lite0.in1k', 'EfficientNet-Lite0 (the built-in network)', 50],
    ['embed-vit-small', 'vit_small_patch16_224.augreg_in21k', 'ViT-S/16', 16],
  ].map(([name, arch, network, images]) => ({
    name,
    work: `embedding ${images} photographs (decode, bicubic resize and crop included), ${network}, against timm's transform and network, seconds of the processor`,
    bar: 0.9,
    side: 'embed-timm',
    args: ['--arch', arch, '--images', `${images}`],
    data: async () => ['--folder', await photoFolder(64)],
    agree: { images: { within: 0 } },
    peers: TIMM,
    repeats: 2,
    cold: true,
  })),
  ...networkRows,
  {
    name: 'start-help',
    work: 'start: conquer --help',
    bar: 0.15,
    absolute: true,
    repeats: 7,
    limit: { nodeStarts: 1, what: "Node's own start" },
  },
  {
    name: 'start-train',
    work: 'start: conquer train to the end of the first step, all of emoji, on a warm cache',
    bar: 3,
    absolute: true,
    repeats: 3,
    limit: { nodeStarts: 1, what: "Node's own start" },
  },
];
