import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, tensor } from '@conquer-dml/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { undivided } from '../divide/division.js';
import {
  type Checkpoint,
  disposeCheckpoint,
  loadCheckpoint,
  loadFirstWhole,
  saveCheckpoint,
} from './checkpoint.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

describe('checkpoint', () => {
  const checkpoint = (): Checkpoint => {
    const { clusters, ...division } = undivided(new Int32Array([0, 0, 1, 1, 2]), 0);
    return {
      model: new Map([['conv1.weight', tensor([[1, 2]])]]),
      loss: new Map([['beta', tensor([1.2], { dtype: 'float64' })]]),
      optimizer: new Map([['backbone.0.exp_avg', tensor([3])]]),
      clusters,
      state: {
        experiment: { train: { epochs: 5 } },
        epoch: 4,
        numLearners: 2,
        masksTrain: true,
        division,
        optimizer: { groups: [], factor: 1, frozen: [] },
        random: [1, 2, 3, 4],
        generator: 'AAAA',
        best: null,
        seconds: { divide: 0, train: 1, evaluate: 2, total: 3 },
        images: 7,
      },
    };
  };

  it('comes back as it was', () => {
    const path = join(folder, 'last.safetensors');
    const saved = checkpoint();
    saveCheckpoint(path, saved);
    const loaded = loadCheckpoint(path);
    expect(loaded.state).toEqual(saved.state);
    expect(loaded.clusters).toEqual(new Int32Array([0, 0, 0, 0, -1]));
    expect([...loaded.model.keys(), ...loaded.loss.keys(), ...loaded.optimizer.keys()]).toEqual([
      'conv1.weight',
      'beta',
      'backbone.0.exp_avg',
    ]);
    expect(loaded.loss.get('beta')?.tolist()).toEqual([1.2]);
    disposeCheckpoint(loaded);
  });

  it.each<[string, (saved: Checkpoint) => void, RegExp]>([
    [
      'weights',
      ({ model }) => model.set('conv1.weight', tensor([1, Number.NaN])),
      /x\.safetensors cannot be used: the weights hold NaN in conv1\.weight: training diverged; take an/,
    ],
    [
      'running statistics',
      ({ model }) => model.set('bn1.running_var', tensor([1, -1])),
      /the weights hold variances below 0 in bn1\.running_var: training/,
    ],
    [
      'loss',
      ({ loss }) => loss.set('beta', tensor([Number.POSITIVE_INFINITY])),
      /the loss's own weights hold infinity in beta: training diverged/,
    ],
    [
      "optimiser's state",
      ({ optimizer }) => optimizer.set('backbone.0.exp_avg', tensor([Number.NaN])),
      /the optimiser's state holds NaN in backbone\.0\.exp_avg: training diverged/,
    ],
  ])('whose %s is not finite is refused by name, and passed over for one that is', (_, spoil, message) => {
    const [whole, spoiled] = [join(folder, 'whole.safetensors'), join(folder, 'x.safetensors')];
    saveCheckpoint(whole, checkpoint());
    const saved = checkpoint();
    spoil(saved);
    saveCheckpoint(spoiled, saved);
    const before = liveTensors();
    expect(() => loadCheckpoint(spoiled)).toThrow(UserError);
    expect(() => loadCheckpoint(spoiled)).toThrow(message);
    expect(liveTensors()).toBe(before);
    const notes: string[] = [];
    const loaded = loadFirstWhole([spoiled, whole], (text) => notes.push(text));
    expect(notes).toEqual([expect.stringMatching(message)]);
    if (loaded) disposeCheckpoint(loaded);
    expect(loaded?.state.epoch).toBe(4);
    expect(() => loadFirstWhole([spoiled], () => {})).toThrow(message);
  });

  it('that is missing, damaged or foreign is refused in one line', () => {
    const path = join(folder, 'x.safetensors');
    expect(() => loadCheckpoint(path)).toThrow(UserError);
    writeFileSync(path, 'not a checkpoint at all');
    expect(() => loadCheckpoint(path)).toThrow(/cannot be read/);
    expect(() => loadCheckpoint(path)).not.toThrow(/\n/);
  });
});
