import { type Generator, nn, randn, type Tensor } from '@conquer-dml/torch';

/** Centres (..., D) that are learned: each starts in a random direction with a length of about 1. */
export function drawnCentres(shape: readonly number[], generator: Generator | undefined): Tensor {
  return nn.parameter(randn([...shape], { generator }).div_(Math.sqrt(shape.at(-1) as number)));
}
