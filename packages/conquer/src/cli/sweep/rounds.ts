/** A round of a sweep: how many of the best so far go on, and until how many epochs they have trained. */
export interface Round {
  trials: number;
  epochs: number;
}

/**
 * The rounds of successive halving (Jamieson and Talwalkar 2016): all trials begin, and after each round the best of them, one in
 * `factor`, go on for that many times the epochs; the last round trains to the end.
 */
export function halvingRounds(trials: number, epochs: number, factor: number): Round[] {
  const most = Math.max(0, Math.min(lastRound(trials, factor), lastRound(epochs, factor)));
  return Array.from({ length: most + 1 }, (_, round) => ({
    trials: Math.ceil(trials / factor ** round),
    epochs: Math.ceil(epochs / factor ** (most - round)),
  }));
}

/** The largest power of `factor` that is no larger. */
function lastRound(count: number, factor: number): number {
  let power = 0;
  while (factor ** (power + 1) <= count) power++;
  return power;
}
