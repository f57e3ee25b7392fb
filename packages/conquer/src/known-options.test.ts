import { UserError } from '@conquer-dml/run';
import { Generator, manualSeed } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { openFolder } from './datasets/folder.js';
import { openDataset } from './datasets/open.js';
import { DivisionSchedule } from './divide/schedule.js';
import { ArcFaceLoss } from './losses/arcface.js';
import { MarginLoss } from './losses/margin.js';
import { MultiSimilarityLoss } from './losses/multi-similarity.js';
import { TripletLoss } from './losses/triplet.js';
import { EasyPositiveMiner } from './miners/easy-positive.js';
import { createModel } from './models/create-model.js';
import { TrainingOptimizer } from './optimize/training-optimizer.js';
import { type TrainEmbeddingOptions, trainEmbedding } from './train/train-embedding.js';

/** As JavaScript gives it: the compiler sees no name that it does not know. */
const wrong = <Options>(options: object): Options => options as Options;

const small = { arch: 'small-resnet', model: { smallResNet: { widths: [4, 8] } } };
const dataset = { name: 'x', train: {}, test: { paths: [] }, recallAt: [1] };

describe('an option that there is not', () => {
  it.each<[string, () => unknown, string]>([
    ['of trainEmbedding', () => trainEmbedding(wrong({ dataset, run: 'r', arhc: 'resnet50' })), 'arch'],
    ['of openFolder', () => openFolder(wrong({ folder: '.', spilt: { kind: 'halves' } })), 'split'],
    ['of openDataset', () => openDataset('cub', wrong({ folder: '.', alowPartial: true })), 'allowPartial'],
  ])('%s is an error', async (_, call, meant) => {
    await expect(call()).rejects.toThrow(UserError);
    await expect(call()).rejects.toThrow(new RegExp(`unknown option.* \\(did you mean ${meant}\\?\\)`));
  });

  it.each<[string, () => unknown, string]>([
    ['a loss', () => new MarginLoss(wrong({ maring: 0.1 })), 'margin'],
    ['another', () => new TripletLoss(wrong({ sfot: true })), 'soft'],
    ['one with weights', () => new ArcFaceLoss(wrong({ numClasses: 2, embeddingDim: 2, scael: 1 })), ''],
    ['one that reads its options by name', () => new MultiSimilarityLoss(wrong({ margn: 1 })), 'margin'],
    ['a miner', () => new EasyPositiveMiner(wrong({ cutof: 0.1 })), 'cutoff'],
    ['a schedule', () => new DivisionSchedule(wrong({ numLearners: 2, modEpochs: 1 })), 'modEpoch'],
    ['a model', () => createModel('small-resnet', wrong({ embedingDim: 4 })), 'embeddingDim'],
    ['its masks', () => createModel('small-resnet', { masks: wrong({ rleu: true }) }), 'relu'],
    ['its shape', () => createModel(wrong({ name: 'small-resnet', width: [4] })), 'widths'],
    ['its start', () => createModel('small-resnet', { embeddingInit: wrong({ gian: 2 }) }), 'gain'],
  ])('%s is an error', (_, make, meant) => {
    expect(make).toThrow(UserError);
    expect(make).toThrow(meant === '' ? /unknown option/ : new RegExp(`\\(did you mean ${meant}\\?\\)`));
  });

  it('of the optimiser is an error', () => {
    manualSeed(1);
    const generator = new Generator(1);
    using model = createModel({ name: 'small-resnet', widths: [4] }, { generator });
    using loss = new TripletLoss();
    const make = () => new TrainingOptimizer(model, loss, wrong({ learningRate: 1, lossLr: 0.1 }));
    expect(make).toThrow(/TrainingOptimizer: lossLr: unknown option/);
  });

  it('is seen by the compiler, where it is written in the call', () => {
    const named = (options: TrainEmbeddingOptions) => Object.keys(options);
    // @ts-expect-error: there is no such option
    expect(named({ run: 'r', dataset, ...small, arhc: 'resnet50' })).toContain('arhc');
    // @ts-expect-error: nor such a network
    const arch: TrainEmbeddingOptions['arch'] = 'resnet05';
    expect(arch).toBe('resnet05');
  });
});
