import { type CurvePoint, gainOf, type HeadResult, mapAtRs } from './fit-report.js';
import type { Score } from './head-training.js';

/**
 * The head with the highest MAP@R on held-out classes, over all splits, where that is above the frozen network's by more than its
 * standard error; null where none is. Test classes are not looked at.
 */
export function chooseHead(frozen: HeadResult, heads: readonly HeadResult[]): string | null {
  const gains = heads.map(({ name, validation }) => ({
    name,
    ...gainOf(mapAtRs(validation), mapAtRs(frozen.validation)),
  }));
  const [best] = gains.sort((a, b) => b.mean - a.mean);
  return best !== undefined && best.mean > best.error ? best.name : null;
}

/** In each split the test score of what its own held-out classes choose, the frozen network among the choices. */
export function chosenInEach(frozen: HeadResult, heads: readonly HeadResult[]): Score[] {
  return frozen.test.map((_, split) => {
    const choices = [frozen, ...heads];
    const best = choices.reduce((one, other) =>
      other.validation[split]!.mapAtR > one.validation[split]!.mapAtR ? other : one,
    );
    return best.test[split]!;
  });
}

/**
 * Whether training the network itself is likely to pay: where the head gains, and went on gaining when the classes to train on were
 * doubled, there is more in the labels than it has learnt. Where doubling brought nothing, more training brings nothing either. A
 * gain within two standard errors leaves it open.
 *
 * @param curve by rising numbers of classes; the last two points are a doubling
 */
export function whetherNetworkPays(
  frozen: HeadResult,
  curve: readonly CurvePoint[],
): 'likely' | 'unlikely' | 'open' {
  const [half, all] = curve.slice(-2);
  if (half === undefined || all === undefined) return 'open';
  const doubling = gainOf(all.mapAtR, half.mapAtR);
  const head = gainOf(all.mapAtR, mapAtRs(frozen.test));
  if (doubling.mean > 2 * doubling.error && head.mean > 2 * head.error) return 'likely';
  return doubling.mean + 2 * doubling.error < LEAST_GAIN ? 'unlikely' : 'open';
}

/** MAP@R below which a gain is nothing. */
const LEAST_GAIN = 0.01;
