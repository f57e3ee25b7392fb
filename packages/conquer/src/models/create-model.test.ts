import { UserError } from '@conquer-dml/run';
import { nn } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createModel, modelNameOf, modelNames } from './create-model.js';

it('opens models by name, with their options', () => {
  using model = createModel(
    { name: 'small-resnet', widths: [4, 8] },
    {
      embeddingDim: 10,
      frozenBatchNorm: true,
      masks: { kind: 'fixed', numLearners: 2 },
    },
  );
  expect([model.embeddingDim, model.featureSize, model.numLearners]).toEqual([10, 8, 2]);
  expect(model.backbone.name).toBe('small-resnet');
  expect(model.backbone.input.size).toBe(32);
});

it('lists the names it knows', () => {
  expect(modelNames.filter((name) => !/[._/]/.test(name))).toEqual([
    ...['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'small-resnet'],
    ...['alexnet', 'vgg11', 'vgg11bn', 'bn-inception'],
  ]);
  expect(modelNames).toContain('vit_base_patch16_clip_224.openai');
  expect(new Set(modelNames).size).toBe(modelNames.length);
  // @ts-expect-error: the compiler knows the names
  const open = () => createModel('resnet19');
  expect(open).toThrow(UserError);
  expect(open).toThrow(
    /^name: expected one of resnet18, .*bn-inception, .*, got "resnet19" \(did you mean resnet18\?\)$/,
  );
});

it('takes a public name without its tag, and with the organisation of timm in front', () => {
  expect(modelNameOf('vit_small_patch16_224')).toBe('vit_small_patch16_224.augreg_in21k_ft_in1k');
  expect(modelNameOf('vit_base_patch16_224')).toBe('vit_base_patch16_224.augreg2_in21k_ft_in1k');
  expect(modelNameOf('timm/vit_small_patch14_dinov2.lvd142m')).toBe('vit_small_patch14_dinov2.lvd142m');
  expect(modelNameOf('hf-hub:facebook/dinov2-small')).toBe('facebook/dinov2-small');
  expect(() => modelNameOf('vit_small_patch14_dinov2.lvd142n')).toThrow(
    /did you mean vit_small_patch14_dinov2.lvd142m/,
  );
});

it.each(['alexnet', 'vgg11', 'vgg11bn', 'bn-inception'] as const)('opens %s by its name', (name) => {
  using model = createModel(name, { embeddingDim: 4, frozenBatchNorm: true });
  expect(model.backbone.name).toBe(name);
  const layers = [...model.namedModules()].flatMap(([, m]) => (m instanceof nn.BatchNorm2d ? [m] : []));
  expect(layers.length).toBe({ alexnet: 0, vgg11: 0, vgg11bn: 8, 'bn-inception': 69 }[name]);
  expect(layers.every(({ frozen }) => frozen)).toBe(true);
});
