import { describe, expect, it } from 'vitest';
import type { ExperimentInput } from './experiment.js';
import { mergeExperiments } from './merge.js';

const merge = (...layers: ExperimentInput[]) => mergeExperiments(...layers);

describe('mergeExperiments', () => {
  it('lays fields over fields, and changes none of the layers', () => {
    const below: ExperimentInput = { train: { epochs: 3, seed: 1 }, optimize: { learningRate: 0.1 } };
    const above: ExperimentInput = { train: { epochs: 4 } };
    expect(merge(below, above)).toEqual({ train: { epochs: 4, seed: 1 }, optimize: { learningRate: 0.1 } });
    expect(below.train?.epochs).toBe(3);
    expect(merge()).toEqual({});
  });

  it('lays the options of a part over those of the same part, and of no other', () => {
    const below: ExperimentInput = { loss: { name: 'margin', beta: 1.1, nu: 0.5 } };
    expect(merge(below, { loss: { name: 'margin', beta: 1 } }).loss).toEqual({
      name: 'margin',
      beta: 1,
      nu: 0.5,
    });
    expect(merge(below, { loss: { name: 'triplet' } }).loss).toEqual({ name: 'triplet' });
    // An option without a name is of the part that there is.
    expect(merge(below, { loss: { nu: 0 } } as unknown as ExperimentInput).loss).toEqual({
      name: 'margin',
      beta: 1.1,
      nu: 0,
    });
    const own: ExperimentInput = { loss: { own: 'Mine', options: '{}' } };
    expect(merge(below, own).loss).toEqual(own.loss);
    expect(merge(own, below).loss).toEqual(below.loss);
  });

  it('takes null as a value, and undefined as none; lists as they are', () => {
    const below: ExperimentInput = {
      model: { weights: 'imagenet', backbone: { name: 'small-resnet', widths: [4, 8] } },
      track: [{ name: 'tensorboard' }],
    };
    expect(merge(below, { model: { weights: null } }).model?.weights).toBe(null);
    expect(merge(below, { model: { weights: undefined } } as ExperimentInput).model?.weights).toBe(
      'imagenet',
    );
    expect(
      merge(below, { model: { backbone: { name: 'small-resnet', widths: [2] } } }).model?.backbone,
    ).toEqual({
      name: 'small-resnet',
      widths: [2],
    });
    expect(merge(below, { track: [] }).track).toEqual([]);
  });
});
