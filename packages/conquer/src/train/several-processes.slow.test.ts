import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { ProcessGroup } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import type { ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { type RankedResult, runRank } from '../testing/rank-of-session.js';
import { inRanks } from '../testing/ranks.js';

// Divisions into four learners, the whole embedding at the end; 24 steps and more.

const frozen: ExperimentInput = { model: { batchNorm: 'frozen' } };
const kinds: Record<string, ExperimentInput> = {
  'margin with distance-weighted mining': {
    loss: { name: 'margin' },
    miner: { name: 'distance-weighted' },
  },
  'Proxy-Anchor': { loss: { name: 'proxy-anchor' }, optimize: { lossLearningRate: 0.01 } },
  'activations computed again, and whole paths left out': {
    model: { backbone: { name: 'small-resnet', widths: [8, 16], dropPath: 0.3 } },
    train: { activationCheckpointing: true },
  },
  'a memory, embedded by an average of the weights': {
    loss: { name: 'multi-similarity' },
    train: { crossBatchMemory: { size: 36, startStep: 2, momentum: 0.9 } },
  },
};

/** How far the weights are from others, as a share of their length. */
function apart(a: RankedResult, b: RankedResult): number {
  expect(Object.keys(a.weights)).toEqual(Object.keys(b.weights));
  const [ours, theirs] = [a, b].map(({ weights }) => Object.values(weights).flat()) as [number[], number[]];
  return Math.hypot(...ours.map((value, i) => value - theirs[i]!)) / Math.hypot(...theirs);
}

/** The largest difference of a loss of a step. */
function lossesApart(a: RankedResult, b: RankedResult): number {
  expect(a.steps.map(([, , tuples]) => tuples)).toEqual(b.steps.map(([, , tuples]) => tuples));
  return Math.max(...a.steps.map(([loss], i) => Math.abs((loss ?? 0) - (b.steps[i]![0] ?? 0))));
}

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  it.each([
    ['float64', 1e-9],
    ['float32', 1e-4],
  ] as const)('in two processes as in one, in %s to %d', async (dtype, most) => {
    const folder = temporaryFolder();
    const experiment = mergeExperiments(kind, frozen);
    const alone = await runRank(ProcessGroup.alone(), { run: join(folder, 'one'), experiment, dtype });
    expect(alone.error).toBe(null);
    expect(alone.steps.length).toBeGreaterThanOrEqual(20);
    const ranks = await inRanks(2, { run: join(folder, 'two'), experiment, dtype });
    const [first, second] = ranks as [RankedResult, RankedResult];
    expect([first.error, second.error]).toEqual([null, null]);
    // Bit for bit what the other has.
    expect({ ...second, rank: 0 }).toEqual(first);
    expect(first.memory === null).toBe(!kind.train?.crossBatchMemory);
    expect(lossesApart(first, alone)).toBeLessThan(most);
    if (dtype === 'float64') expect(apart(first, alone)).toBeLessThan(most);
  });
});

describe('a run of two processes', () => {
  const experiment: ExperimentInput = {
    loss: { name: 'multi-similarity' },
    train: { crossBatchMemory: { size: 36, startStep: 2 } },
  };
  const lossesOf = (results: (RankedResult | null)[]) => results.flatMap((result) => result?.steps ?? []);
  const errorsOf = (results: (RankedResult | null)[]) => results.map((result) => result?.error);

  it('goes on bit for bit where it was stopped, or a process was lost; in one or three as well', async () => {
    const folder = temporaryFolder();
    const of = (name: string, more: object = {}) => ({
      run: join(folder, name),
      experiment,
      epochs: 4,
      ...more,
    });
    const [whole] = (await inRanks(2, of('whole'))) as [RankedResult, RankedResult];
    expect(whole.error).toBe(null);

    // Only one of them is told to stop.
    const stopped = await inRanks(2, of('stopped', { stopAfter: { rank: 1, steps: 6 } }));
    const end = `Interrupted: stopped; what was finished is in ${join(folder, 'stopped')}`;
    expect(errorsOf(stopped)).toEqual([end, end]);
    cpSync(join(folder, 'stopped'), join(folder, 'in-one'), { recursive: true });
    cpSync(join(folder, 'stopped'), join(folder, 'in-three'), { recursive: true });
    const wentOn = await inRanks(2, of('stopped', { resume: true }));
    expect(errorsOf(wentOn)).toEqual([null, null]);
    expect([...stopped[0]!.steps, ...wentOn[0]!.steps]).toEqual(whole.steps);
    for (const [rank, result] of wentOn.entries()) {
      expect(result).toEqual({ ...whole, rank, steps: wentOn[0]!.steps, recalls: wentOn[0]!.recalls });
    }

    const lost = await inRanks(2, of('lost', { killBefore: { rank: 1, step: 7 } }));
    expect(lost[1]).toBe(null);
    expect(lost[0]!.error).toBe('ProcessGroupError: rank 1 of 2 was lost: its process ended');
    const saved = await inRanks(2, of('lost', { resume: true }));
    expect({ ...saved[0], steps: null, recalls: null }).toEqual({ ...whole, steps: null, recalls: null });

    // BatchNorm sees other shares: the numbers differ, the batches do not.
    for (const [name, size] of [
      ['in-one', 1],
      ['in-three', 3],
    ] as const) {
      const others = await inRanks(size, of(name, { resume: true }));
      expect(errorsOf(others)).toEqual(Array(size).fill(null));
      expect(new Set(others.map((result) => result!.memory)).size).toBe(1);
      expect(others[0]!.steps).toHaveLength(wentOn[0]!.steps.length);
      const [ours, theirs] = [lossesOf([others[0]!]), lossesOf([wentOn[0]!])];
      expect(Math.abs(ours[0]![0]! - theirs[0]![0]!)).toBeLessThan(0.3);
    }
  });
});
