import { expect, it } from 'vitest';
import { UserError } from '../error.js';
import { modelNames, openModel } from './open.js';

it('opens models by name, with their options', () => {
  using model = openModel('small-resnet', {
    embeddingDim: 10,
    frozenBatchNorm: true,
    smallResNet: { widths: [4, 8] },
    masks: { kind: 'fixed', numLearners: 2 },
  });
  expect([model.embeddingDim, model.featureSize, model.numLearners]).toEqual([10, 8, 2]);
  expect(model.backbone.name).toBe('small-resnet');
  expect(model.backbone.input.size).toBe(32);
});

it('lists the names it knows', () => {
  expect(modelNames).toEqual(['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'small-resnet']);
  expect(() => openModel('resnet19')).toThrow(UserError);
  expect(() => openModel('resnet19')).toThrow(/'resnet19': choose one of resnet18, .*small-resnet$/);
});
