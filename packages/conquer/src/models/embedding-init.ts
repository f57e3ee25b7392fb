import { UserError } from '@conquer-dml/run';
import { aten, type Generator, nn, noGrad, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { withDefaultsAt } from '../part.js';

export const embeddingInitKinds = [
  'default',
  'xavier-uniform',
  'xavier-normal',
  'kaiming-fan-in',
  'kaiming-fan-out',
  'truncated-normal',
  'identity',
  'orthogonal',
] as const;

/** How the embedding's weight is drawn, see `embeddingInitOptions`. */
export type EmbeddingInitKind = (typeof embeddingInitKinds)[number];

/**
 * How the embedding's weight is drawn, of `rows` x `columns`:
 * - 'default': PyTorch's, U(-b, b) with b = 1 / sqrt(columns); the bias is drawn like this under all kinds
 *   but the last three,
 * - 'xavier-uniform', 'xavier-normal': variance 2 gain^2 / (rows + columns),
 * - 'kaiming-fan-in', 'kaiming-fan-out': normal of variance 1 / columns, 1 / rows,
 * - 'truncated-normal': N(0, 0.1^2) cut at two deviations; the bias is 0.1.
 * - 'orthogonal': rows of length 1 that are orthogonal, where there are no more than columns; the bias is 0.
 * - 'identity': dimension i is feature i, the bias is 0; beyond the features it begins again with the first.
 */
export const embeddingInitOptions = z.strictObject({
  kind: z
    .enum(embeddingInitKinds)
    .default('default')
    .describe("how the embedding's weights are drawn (default: as PyTorch does)"),
  gain: z.number().min(1e-6).default(1).describe('xavier-uniform and xavier-normal: factor of the deviation'),
});

export interface EmbeddingInitOptions extends z.input<typeof embeddingInitOptions> {
  /**
   * Learners whose rows are each drawn as a layer of their own, so that `rows` is a learner's share of the
   * dimensions: contiguous blocks, as fixed masks have them. A power of two. 1 (default): the embedding is
   * drawn as one.
   */
  learners?: number | undefined;
  /** Without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/**
 * Draws the weight (D, F) and bias (D) of the embedding anew, in place. The default kind in one piece leaves the
 * layer as its constructor made it, which is the same.
 *
 * @throws UserError when the learners are no power of two or more than the dimensions, or for a gain that no kind would use
 */
export function initEmbedding(embedding: nn.Linear, options: EmbeddingInitOptions = {}): void {
  const { learners = 1, generator, ...given } = options;
  const { kind, gain } = withDefaultsAt('embeddingInit', embeddingInitOptions, given);
  if (gain !== 1 && !kind.startsWith('xavier')) {
    throw new OptionError(
      'embeddingInit.gain',
      `a gain of ${gain} is for xavier-uniform and xavier-normal: the embedding is initialised by ${kind}`,
    );
  }
  if (!Number.isInteger(Math.log2(learners)) || learners > embedding.outFeatures) {
    throw new UserError(
      `an embedding of ${embedding.outFeatures} dimensions cannot be split among ${learners} learners: a power of two up to its dimensions is needed`,
    );
  }
  if (kind === 'default' && learners === 1) return;
  noGrad(() =>
    scope(() => {
      let start = 0;
      for (const rows of shares(embedding.outFeatures, learners)) {
        const weight = embedding.weight.narrow(0, start, rows);
        const bias = embedding.bias?.narrow(0, start, rows) ?? null;
        nn.init.default_(weight, bias, { generator });
        draw(kind, weight, bias, gain, generator);
        start += rows;
      }
      if (kind === 'identity') makeIdentity(embedding);
    }),
  );
}

function draw(
  kind: EmbeddingInitKind,
  weight: Tensor,
  bias: Tensor | null,
  gain: number,
  generator: Generator | undefined,
): void {
  switch (kind) {
    case 'default':
    case 'identity':
      return;
    case 'orthogonal':
      makeOrthogonal(weight, generator);
      bias?.fill_(0);
      return;
    case 'xavier-uniform':
      nn.init.xavierUniform_(weight, { gain, generator });
      return;
    case 'xavier-normal':
      nn.init.xavierNormal_(weight, { gain, generator });
      return;
    case 'kaiming-fan-in':
      nn.init.kaimingNormal_(weight, { mode: 'fanIn', nonlinearity: 'linear', generator });
      return;
    case 'kaiming-fan-out':
      nn.init.kaimingNormal_(weight, { mode: 'fanOut', nonlinearity: 'linear', generator });
      return;
    case 'truncated-normal':
      nn.init.truncNormal_(weight, { std: 0.1, a: -0.2, b: 0.2, generator });
      if (bias !== null) nn.init.constant_(bias, 0.1);
  }
}

/** The orthogonal factor of a matrix of normal numbers, its signs settled: each such matrix is equally likely. */
function makeOrthogonal(weight: Tensor, generator: Generator | undefined): void {
  const [rows, columns] = weight.shape as [number, number];
  const long = randn([Math.max(rows, columns), Math.min(rows, columns)], { generator });
  const [q, r] = aten.linalg_qr(long);
  const signed = q.mul(aten.diagonal(r).sign());
  weight.copy_(rows < columns ? signed.t() : signed);
}

function makeIdentity({ weight, bias, inFeatures, outFeatures }: nn.Linear): void {
  const values = new Float32Array(outFeatures * inFeatures);
  for (let row = 0; row < outFeatures; row++) values[row * inFeatures + (row % inFeatures)] = 1;
  weight.copy_(tensor(values, { shape: [outFeatures, inFeatures] }));
  bias?.fill_(0);
}

/** The dimensions of each learner, halved and halved again as LearnerMasks does with fixed masks. */
function shares(dimensions: number, learners: number): number[] {
  if (learners === 1) return [dimensions];
  const half = Math.floor(dimensions / 2);
  return [...shares(half, learners / 2), ...shares(dimensions - half, learners / 2)];
}
