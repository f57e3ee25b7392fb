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
export const partOf = (group: string) => group.split('.')[0] as TrainedPart;

/** Whether a group holds the vectors that stand apart from the rest of a part. */
export const isOfVectors = (group: string) => group.endsWith(vectorSuffix);

/**
 * A part's group; two where some of its parameters have no weight decay. Checkpoints hold the names and the order.
 *
 * @param name of a part, or `backbone.3` for the fourth layer of one
 * @param decays whether a parameter has weight decay
 */
export function partGroups(
  name: string,
  params: readonly Tensor[],
  weightDecay: number,
  decays: (parameter: Tensor) => boolean,
): ParameterGroup[] {
  const vectors = params.filter((parameter) => !decays(parameter));
  const rest = params.filter((parameter) => !vectors.includes(parameter));
  const groups: ParameterGroup[] = [{ name, params: rest, weightDecay }];
  if (vectors.length > 0) groups.push({ name: `${name}${vectorSuffix}`, params: vectors, weightDecay: 0 });
  return groups;
}
