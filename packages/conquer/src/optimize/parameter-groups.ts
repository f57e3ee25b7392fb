import type { optim, Tensor } from '@conquer-dml/torch';

/** What is trained, each with a learning rate of its own. */
export type TrainedPart = 'backbone' | 'embedding' | 'loss' | 'masks';

/** What every optimiser here has an option for. */
export interface GroupOptions extends optim.BaseOptions {
  /** λ; what it does is the optimiser's. */
  weightDecay: number;
}

/** Parameters that share learning rate and weight decay. */
export interface ParameterGroup {
  /** Of a part, or of the vectors of one. */
  readonly name: string;
  readonly params: readonly Tensor[];
  readonly weightDecay: number;
}

const vectorSuffix = '.vectors';

/** The part that a group belongs to. */
export const partOf = (group: string) => group.replace(vectorSuffix, '') as TrainedPart;

/** Whether a group holds the vectors that stand apart from the rest of a part. */
export const isOfVectors = (group: string) => group.endsWith(vectorSuffix);

/**
 * A part's group; two where its parameters of one dimension (biases, BatchNorm's weights) have no weight decay. Checkpoints
 * hold the names and the order.
 */
export function partGroups(
  name: TrainedPart,
  params: readonly Tensor[],
  weightDecay: number,
  decayVectors: boolean,
): ParameterGroup[] {
  const vectors = decayVectors ? [] : params.filter(({ ndim }) => ndim < 2);
  const rest = params.filter((parameter) => !vectors.includes(parameter));
  const groups: ParameterGroup[] = [{ name, params: rest, weightDecay }];
  if (vectors.length > 0) groups.push({ name: `${name}${vectorSuffix}`, params: vectors, weightDecay: 0 });
  return groups;
}
