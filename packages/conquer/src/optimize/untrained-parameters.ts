import type { Tensor } from '@conquer-dml/torch';
import type { Loss } from '../losses/loss.js';

/**
 * Which of a loss's parameters are not trained, in words: a loss computed from proxies that stay as drawn looks like any
 * other. null where all are, or it has none. `constant`: they are numbers that stay at what the loss was given, as its
 * learning rate of 0 says; margin loss's boundary is one by default.
 *
 * @param trained those that the optimiser trains of any loss
 * @param learningRate of the loss's own parameters
 */
export function untrainedParameters(
  loss: Loss,
  trained: ReadonlySet<Tensor>,
  learningRate: number,
): { text: string; constant: boolean } | null {
  const untrained = [...loss.namedParameters()].filter(([, parameter]) => !trained.has(parameter));
  if (untrained.length === 0) return null;
  const stay = untrained.map(([name, parameter]) =>
    parameter.numel() === 1
      ? `${name} stays at ${Number(parameter.item().toPrecision(6))}`
      : `${name} [${parameter.shape}] stays as drawn`,
  );
  const isChosen = trained.size === 0 && learningRate === 0;
  const why = isChosen
    ? "the learning rate of the loss's own parameters is 0"
    : 'the optimiser was not given it';
  return {
    text: `${loss.constructor.name}: ${stay.join(', ')}, as ${why}`,
    constant: isChosen && untrained.every(([, parameter]) => parameter.numel() === 1),
  };
}
