/**
 * Adam moves a weight by about the learning rate a step. Weights that were drawn at random learn next to nothing below this:
 * docs/recipes.md has what was measured.
 */
export const LEAST_LEARNING_RATE_AT_RANDOM = 1e-4;

/** How a training starts, as far as it decides whether anything can be learnt. */
export interface TrainingStart {
  /** The backbone's weights are drawn, not pretrained. */
  randomWeights: boolean;
  /** The backbone has BatchNorm, whose running statistics stay as they are. */
  frozenBatchNorm: boolean;
  /** The highest of backbone and embedding, before any schedule. */
  learningRate: number;
}

/** What keeps a network from learning, in a sentence each. */
export function hindrances({ randomWeights, frozenBatchNorm, learningRate }: TrainingStart): string[] {
  const found: string[] = [];
  if (learningRate === 0) found.push('a learning rate of 0 leaves backbone and embedding as they are');
  if (!randomWeights) return found;
  if (frozenBatchNorm)
    found.push('BatchNorm is frozen at statistics that are not those of weights drawn at random');
  if (learningRate > 0 && learningRate < LEAST_LEARNING_RATE_AT_RANDOM)
    found.push(
      `weights drawn at random learn next to nothing at a learning rate of ${learningRate}: it is for pretrained ones`,
    );
  return found;
}
