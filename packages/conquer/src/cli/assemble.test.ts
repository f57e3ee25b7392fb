import { Generator } from '@conquer/torch';
import { describe, expect, it } from 'vitest';
import { KantorovMarginLoss } from '../losses/kantorov-margin.js';
import { NPairsLoss } from '../losses/npairs.js';
import { TripletLoss } from '../losses/triplet.js';
import { TripletAllLoss } from '../losses/triplet-all.js';
import { TripletSemihardLoss } from '../losses/triplet-semihard.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { FlexibleTripletMiner } from '../miners/flexible-triplet.js';
import { Random } from '../random.js';
import { divisionOf, minerOf, modelOf, samplerOf, scheduleOf } from './assemble.js';
import { lossOf } from './assemble-loss.js';
import { resolveSettings } from './options.js';

const loss = (flags: Record<string, unknown>) => lossOf(resolveSettings(flags), 3, new Generator(0));
const miner = (flags: Record<string, unknown>) => {
  const settings = resolveSettings(flags);
  return minerOf(settings, lossOf(settings, 3, new Generator(0)), new Random(0));
};

describe('losses', () => {
  it('are the ones asked for, with their options', () => {
    const triplet = loss({ loss: 'triplet', margin: '0.3', soft: 'yes', average: 'all' });
    expect(triplet).toBeInstanceOf(TripletLoss);
    expect(triplet).toMatchObject({ margin: 0.3, soft: true, averageNonZeroOnly: false });
    expect(loss({ loss: 'triplet' })).toMatchObject({ soft: false, averageNonZeroOnly: true });
    const all = loss({ loss: 'triplet-all', margin: 0.4 });
    expect(all).toBeInstanceOf(TripletAllLoss);
    expect(all).toMatchObject({ margin: 0.4 });
    const semihard = loss({ loss: 'triplet-semihard', margin: 0.4, soft: 'yes' });
    expect(semihard).toBeInstanceOf(TripletSemihardLoss);
    expect(semihard).toMatchObject({ margin: 0.4, soft: true });
    const npairs = loss({ loss: 'npairs', alpha: 3 });
    expect(npairs).toBeInstanceOf(NPairsLoss);
    expect((npairs as NPairsLoss).alpha.item()).toBe(3);
    const kantorov = loss({ loss: 'kantorov-margin', margin: 0.1, beta: 1, 'miner-cutoff': 0.7 });
    expect(kantorov).toBeInstanceOf(KantorovMarginLoss);
    expect(kantorov).toMatchObject({ alpha: 0.1, beta: 1, distanceThreshold: 0.7 });
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['triplet', { 'squared-distances': 'yes' }, { squared: true }],
    ['triplet', {}, { squared: false }],
    ['contrastive', { 'pos-margin': 0.1, 'neg-margin': 0.9 }, { posMargin: 0.1, negMargin: 0.9 }],
    ['snr', { margin: 0.3, 'snr-lambda': 0.1 }, { margin: 0.3, regLambda: 0.1, averageNonZeroOnly: true }],
    ['snr', { average: 'all' }, { averageNonZeroOnly: false }],
    ['mc-npair', {}, { l2Weight: 0 }],
    ['angular', { 'angular-alpha': 40, 'angular-weight': 1 }, { alphaDegrees: 40, angularWeight: 1 }],
    ['multi-similarity', { 'ms-pos-weight': 3, 'ms-neg-weight': 50 }, { posWeight: 3, negWeight: 50 }],
    ['multi-similarity', { 'ms-margin': 0.2, 'ms-threshold': 1 }, { margin: 0.2, threshold: 1 }],
    ['multi-similarity', {}, { averageNonZeroOnly: false }],
    ['multi-similarity', { average: 'non-zero' }, { averageNonZeroOnly: true }],
    ['histogram', { 'histogram-bins': 33 }, { numBins: 33 }],
    ['proxy-nca', { 'proxy-scale': 4 }, { scale: 4 }],
    ['arcface', { 'arcface-margin': 0.3, 'arcface-scale': 64 }, { angularMargin: 0.3, featureScale: 64 }],
    ['soft-triple', { 'soft-triple-scale': 9, 'soft-triple-margin': 0.1 }, { scale: 9, margin: 0.1 }],
    ['soft-triple', { 'soft-triple-gamma': 0.3, 'soft-triple-tau': 0.4 }, { gamma: 0.3, tau: 0.4 }],
  ])('%s %j', (name, flags, wanted) => {
    expect(loss({ loss: name, ...flags })).toMatchObject(wanted);
  });

  it('have weights for each class', () => {
    const shapes = (flags: Record<string, unknown>) =>
      [...loss({ 'embedding-dim': 8, ...flags }).namedParameters()].map(([, weights]) => weights.shape);
    for (const name of ['proxy-nca', 'arcface', 'normalized-softmax']) {
      expect(shapes({ loss: name })).toEqual([[3, 8]]);
    }
    expect(shapes({ loss: 'soft-triple', 'soft-triple-centres': 4 })).toEqual([[3, 4, 8]]);
  });
});

describe('miners', () => {
  it.each([
    ['random-random', 'random', 'random'],
    ['random-semihard', 'random', 'semihard'],
    ['random-hard', 'random', 'hard'],
    ['easy-random', 'easy', 'random'],
    ['easy-semihard', 'easy', 'semihard'],
    ['easy-hard', 'easy', 'hard'],
    ['hard-random', 'hard', 'random'],
    ['hard-semihard', 'hard', 'semihard'],
    ['hard-hard', 'hard', 'hard'],
    ['HPHN', 'hard', 'hard'],
    ['ephn', 'easy', 'hard'],
    ['EPSHN', 'easy', 'semihard'],
    ['HPSHN', 'hard', 'semihard'],
    ['rpSHN', 'random', 'semihard'],
    ['RPHN', 'random', 'hard'],
  ])('%s', (name, positive, negative) => {
    const made = miner({ miner: name, margin: 0.35 });
    expect(made).toBeInstanceOf(FlexibleTripletMiner);
    expect(made).toMatchObject({ positive, negative, margin: 0.35 });
  });

  it('have their cutoffs, and none for a loss on the whole batch', () => {
    expect(miner({ miner: 'easypeasy', 'miner-cutoff': 0.6 })).toMatchObject({ cutoff: 0.6 });
    expect(miner({ miner: 'easy-positive' })).toBeInstanceOf(EasyPositiveMiner);
    expect(miner({ loss: 'npairs' })).toBe(null);
  });
});

describe('samplers', () => {
  const labels = Int32Array.from({ length: 60 }, (_, image) => (image < 48 ? 0 : 1 + (image % 4)));
  const batches = (flags: Record<string, unknown>) => {
    const indices = Int32Array.from(labels.keys());
    const settings = resolveSettings({ 'batch-size': 8, ...flags });
    return [...samplerOf(settings)(indices, labels, new Random(1))].map((batch) =>
      [...batch].map((position) => labels[position] as number),
    );
  };

  it('npairs and random are what they say', () => {
    const npairs = batches({ sampler: 'npairs', 'samples-per-class': 2 });
    expect(npairs.length).toBe(8);
    for (const batch of npairs) expect(new Set(batch).size).toBe(4);
    const classes = (flags: Record<string, unknown>) =>
      Math.min(...batches({ sampler: 'random', ...flags }).map((batch) => new Set(batch).size));
    expect(classes({})).toBe(2);
    expect(classes({ 'min-classes': 4 })).toBe(4);
  });
});

describe('the division', () => {
  const learners = async (flags: Record<string, unknown>) => {
    const settings = resolveSettings({ arch: 'small-resnet', widths: '4', 'embedding-dim': 16, ...flags });
    using model = await modelOf(settings, new Generator(0), new Generator(0), process.stderr);
    return model.numLearners;
  };

  it('starts with the learners of the hierarchy', async () => {
    expect(await learners({})).toBe(1);
    expect(await learners({ 'start-learners': 2 })).toBe(2);
    expect(await learners({ hierarchy: 'none' })).toBe(4);
    expect(await learners({ hierarchy: 'bottom-up' })).toBe(4);
  });

  it('hands its options to the schedule and the loop', () => {
    const at = (flags: Record<string, unknown>, epoch: number) =>
      scheduleOf(resolveSettings(flags)).at(epoch);
    expect(at({ hierarchy: 'bottom-up' }, 2).numLearners).toBe(2);
    expect(at({ 'num-learners': 1 }, 2).redivide).toBe(true);
    expect(at({ 'num-learners': 1, 'stop-recluster': 'yes' }, 2).redivide).toBe(false);
    expect(divisionOf(resolveSettings())).toEqual({
      clusterLayer: 'penultimate',
      clusterBy: 'image',
      clustering: 'kmeans',
      recluster: 'reassign',
      freezeMasksWithOneLearner: false,
    });
    const flags = {
      'cluster-layer': 'final',
      'cluster-by': 'class',
      clustering: 'kmeans_adaptive_centroids',
      recluster: 'random',
      'cluster-seed': 7,
      'freeze-masks-with-one-learner': 'yes',
    };
    expect(divisionOf(resolveSettings(flags))).toEqual({
      clusterLayer: 'final',
      clusterBy: 'class',
      clustering: 'adaptive-centroids',
      recluster: 'random',
      clusterSeed: 7,
      freezeMasksWithOneLearner: true,
    });
  });
});
