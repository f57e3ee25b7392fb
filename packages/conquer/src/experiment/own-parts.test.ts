import { describe, expect, it } from 'vitest';
import type { Dataset } from '../datasets/dataset.js';
import { TripletLoss } from '../losses/triplet.js';
import { FlexibleTripletMiner } from '../miners/flexible-triplet.js';
import type { Miner } from '../miners/miner.js';
import { Random } from '../random.js';
import type { ExperimentWithOwnParts } from './own-parts.js';
import { separateOwnParts } from './own-parts.js';
import { resolveExperiment } from './resolve.js';

const split = (...paths: string[]) => ({
  name: 'x',
  paths,
  labels: Int32Array.from(paths.keys()),
  classNames: paths,
});
const birds = {
  name: 'birds',
  train: split('/photos/a/1.jpg'),
  test: split('/photos/b/1.jpg'),
} as unknown as Dataset;

describe('code in the place of parts', () => {
  it('is told from data, and written down by its name and plain options', () => {
    const loss = new TripletLoss({ margin: 0.3 });
    const miner = new FlexibleTripletMiner({
      positive: 'hard',
      negative: 'hard',
      random: new Random(1),
    } as never);
    const given: ExperimentWithOwnParts = {
      data: { dataset: birds, batchSize: 8 },
      loss,
      miner,
      train: { epochs: 2 },
    };
    const { experiment, own } = separateOwnParts(given);
    expect(own).toEqual({ dataset: birds, loss, miner });
    expect(own.loss).toBe(loss);
    expect(experiment).toMatchObject({
      data: { dataset: { own: 'birds', folder: '/photos' }, batchSize: 8 },
      loss: { own: 'TripletLoss' },
      miner: { own: 'FlexibleTripletMiner' },
      train: { epochs: 2 },
    });
    const { options } = experiment.loss as { options: string };
    expect(JSON.parse(options)).toMatchObject({ margin: 0.3, soft: false });
    // What is written down is an experiment, and what was given is as it was.
    const resolved = resolveExperiment(experiment);
    expect(JSON.parse(JSON.stringify(resolved))).toEqual(resolved);
    expect(given.data?.dataset).toBe(birds);
  });

  it('is not what an experiment names', () => {
    const plain = { loss: { name: 'triplet' as const }, data: { dataset: { name: 'emoji' as const } } };
    expect(separateOwnParts(plain)).toEqual({ experiment: plain, own: {} });
    expect(separateOwnParts({})).toEqual({ experiment: {}, own: {} });
  });

  it('may be anything that does what a miner does', () => {
    class First implements Miner {
      readonly count = 3;
      mine(): never {
        throw new Error('not called here');
      }
    }
    const { experiment } = separateOwnParts({ miner: new First() });
    expect(experiment.miner).toEqual({ own: 'First', options: '{"count":3}' });
  });
});
