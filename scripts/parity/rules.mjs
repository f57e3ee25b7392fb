// What the two and their kin get wrong, as rules, and the test that holds each here. The files are under packages/conquer/src.

const table = [
  ['losses get float32 and keep their own weights in float32, each of which moves', 'losses/rules.test.ts'],
  [
    "a miner's weights are normalised for each anchor: one near pair leaves the others their tuples in 512 dimensions",
    'losses/rules.test.ts, miners/distance-weighted.test.ts',
  ],
  [
    'rank and pair losses: a perfect embedding, a shuffled batch, classes of any number and size, one class, each class alone, one pair of each kind',
    'losses/rules.test.ts, losses/pair-losses.test.ts',
  ],
  ['labels may be any integers or strings: none run together', 'evaluate/rules.test.ts'],
  ['k is cut to the gallery, metrics are within 0 and 1', 'evaluate/rules.test.ts'],
  [
    'a metric says its divisor, what a query without a match counts, and that a query is not found itself',
    'evaluate/rules.test.ts',
  ],
  ['metrics depend on the order alone', 'evaluate/rules.test.ts'],
  ['evaluation scales rows to length 1 as the loss does, or says that it does not', 'evaluate/rules.test.ts'],
  ['NMI says its k-means, which starts by k-means++', 'clustering/kmeans.test.ts'],
  ['empty clusters are counted, a collapsed embedding is said in words', 'divide/division.test.ts'],
  ['a memory is saved with its fill', 'losses/cross-batch-memory.test.ts'],
  null,
  null,
  null,
  [
    "a sampler's length is what it yields, every image comes up or the log says how many did, copies of an image are no pair",
    'samplers/samplers.test.ts, samplers/every-image.test.ts, train/step.test.ts',
  ],
  ['class numbers that a loss has nothing for are an error in words', 'losses/rules.test.ts'],
  ['batches without tuples are counted, never averaged as 0', 'train/step.test.ts'],
  [
    'an image is told by its number, not by the tensor it is in',
    'losses/pair-losses.test.ts, train/step.test.ts',
  ],
];

/** Numbered as they were found. */
export const ruleTests = table.flatMap((row, i) =>
  row === null ? [] : [{ number: i + 1, rule: row[0], tests: row[1].split(', ') }],
);

export const rules = [
  '## Where libraries go wrong, and what holds it here',
  '',
  'Rules that came of measuring the two, torchmetrics, faiss and timm. Files are under `packages/conquer/src`.',
  '',
  '| rule | what | tests |',
  '| --- | --- | --- |',
  ...ruleTests.map(
    ({ number, rule, tests }) => `| ${number} | ${rule} | ${tests.map((file) => `\`${file}\``).join(', ')} |`,
  ),
  '',
];
