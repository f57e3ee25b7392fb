import { ballOfOptions, hyperbolicPairwise } from '../losses/hyperbolic-pairwise.js';
import type { Ball } from '../neighbours/poincare.js';
import type { Experiment } from './experiment.js';

/** `Loss.ball` of an experiment's loss, before it is built. */
export function ballOf({ loss }: Pick<Experiment, 'loss'>): Ball | null {
  for (const term of [loss].flat())
    if ('name' in term && term.name === hyperbolicPairwise.name) {
      const ball = ballOfOptions(term as unknown as Ball);
      if (ball) return ball;
    }
  return null;
}
