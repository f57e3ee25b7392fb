import type { EpochRecord } from '@conquer-dml/run';
import { expect, it } from 'vitest';
import type { TrainObserver } from '../train/observer.js';
import { TerminalObserver } from './terminal.js';

type Step = Parameters<NonNullable<TrainObserver['onStep']>>[0];
type Result = Step['result'];

it('counts batches without a tuple, and those with a loss of 0, beside the mean', () => {
  let text = '';
  const out = {
    write: (part: string) => {
      text += part;
    },
  };
  const terminal = new TerminalObserver(out as never);
  const skipped = 'the miner found no valid tuple in the batch';
  const results: Partial<Result>[] = [
    { metricLoss: 0, maskLoss: 0, skipped: null },
    { metricLoss: 0.5, maskLoss: 0, skipped: null },
    { metricLoss: null, maskLoss: null, skipped },
    { metricLoss: 0, maskLoss: 0, skipped: null },
  ];
  for (const epoch of [0, 1]) {
    text = '';
    terminal.onEpochStart({ epoch, epochs: 2, steps: 4, numLearners: 1, fullEmbedding: false });
    for (const result of epoch === 0 ? results : results.slice(1, 2))
      terminal.onStep({ images: 8, result } as Step);
    const record = { epoch, steps: 4, metrics: null, seconds: { train: 1 }, images: 32 };
    terminal.onEpochEnd(record as unknown as EpochRecord, false);
    const told = /2 of 4 batches had a loss of 0.*\n/.test(text);
    expect(told).toBe(epoch === 0);
    expect(text.includes(`1 of 4 batches skipped: ${skipped}`)).toBe(epoch === 0);
  }
});
