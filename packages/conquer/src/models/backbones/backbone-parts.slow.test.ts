import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, liveTensors, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createBackbone, createModel } from '../create-model.js';
import { headOf, headOptions } from '../embedding-model.js';
import { type KeyMap, ownNames } from '../weights/key-map.js';
import { loadWeights } from '../weights/weights.js';
import { backbones } from './backbones.js';
import { SmallResNet } from './small-resnet.js';

const names = backbones.map(({ name }) => name);

it.each(names)(
  '%s: builds with its defaults, which are said in a line each; its parameters lie at one depth each',
  (name) => {
    const part = backbones.find((known) => known.name === name)!;
    using backbone = createBackbone(name, { frozenBatchNorm: true, generator: new Generator(1) });
    expect(backbone.name).toBe(name);
    const groups = backbone.parametersByDepth();
    expect(groups.length).toBeGreaterThan(4);
    // As the state dict names them, from the images on.
    expect(new Set(groups.flat())).toEqual(new Set<Tensor>(backbone.parameters()));
    expect(groups.flat()).toHaveLength(backbone.parameters().length);
    expect(groups[0]?.[0]?.shape[1]).toBe(3);
    expect([...backbone.stateDict().keys()].some((key) => key.includes('running_mean'))).toBe(part.batchNorm);
    for (const option of Object.values(part.options.shape)) expect(option.description).toMatch(/\w/);
    expect(() => createBackbone({ name: name as 'alexnet', ...{ colour: 1 } })).toThrow(
      'colour: unknown option',
    );
  },
);

it('small-resnet refuses values out of range, by the path', () => {
  const wrong: [object, string][] = [
    [{ widths: [] }, 'widths: expected a list, each an integer of at least 1, got []'],
    [{ widths: [4, 0] }, 'widths.1: expected an integer of at least 1, got 0'],
    [{ depths: [1, 2] }, 'depths: expected one number, or as many as there are widths, 4; got 2'],
    [{ stem: { stride: 0 } }, 'stem.stride: expected an integer of at least 1 and at most 64, got 0'],
    [{ shortcut: 'none' }, 'shortcut: expected one of average, strided, got "none"'],
  ];
  for (const [options, message] of wrong)
    expect(() => createBackbone({ name: 'small-resnet', ...options })).toThrow(message);
});

it('the head refuses values out of range, by the path', () => {
  const wrong: [object, string][] = [
    [{ embeddingDim: 1 }, 'embeddingDim: expected an integer of at least 2'],
    [{ pooling: 'mean' }, 'pooling: expected one of avg, max, gem, got "mean"'],
    [{ dropout: 1 }, 'dropout: expected a number of at least 0 and at most 0.99, got 1'],
    [{ fullEmbeddingMasks: 'l1' }, 'fullEmbeddingMasks: expected one of none, sum, sum-l1'],
    [{ masks: { kind: 'soft' } }, 'masks.kind: expected one of learned, fixed'],
    [{ masks: { kind: 'fixed', initialisation: 'normal' } }, 'masks.initialisation: fixed masks are ones'],
    [{ embeddingInit: { gain: 2 } }, 'embeddingInit.gain: a gain of 2 is for xavier-uniform'],
    [{ embeddingInit: { kind: 'zeros' } }, 'embeddingInit.kind: expected one of default, xavier-uniform'],
  ];
  for (const [options, message] of wrong)
    expect(() => createModel({ name: 'small-resnet', widths: [4] }, options)).toThrow(message);
});

it("an experiment's head is a model's, for so many learners", () => {
  const context = { startLearners: 2, numLearners: 4 };
  const head = headOptions.parse({
    embeddingDim: 8,
    embeddingInit: { split: true },
    masks: { kind: 'fixed' },
  });
  const options = headOf(head, context);
  expect(options.embeddingInit).toEqual({ kind: 'default', gain: 1, learners: 4 });
  using model = createModel({ name: 'small-resnet', widths: [4] }, options);
  expect([model.embeddingDim, model.numLearners, model.learnerMasks.kind]).toEqual([8, 2, 'fixed']);
  expect(headOf(headOptions.parse({}), context)).toMatchObject({
    ...{ embeddingDim: 512, pooling: 'avg', dropout: 0.01, fullEmbeddingMasks: 'none' },
    embeddingInit: { learners: 1 },
  });
});

it("weights under another program's names and shapes fit by a key map, also behind a prefix", () => {
  class Renamed extends SmallResNet {
    override readonly keyMaps: readonly KeyMap[] = [
      ownNames,
      {
        ownName: (stored) => stored.replace(/^stem\./, '').replace(/^stages\.(\d)\./, 'layer$1.'),
        shaped: (name, stored) => (name === 'bn1.weight' ? stored.flatten() : stored),
      },
    ];
  }
  using source = new SmallResNet({ widths: [4, 8], generator: new Generator(1) });
  using target = new Renamed({ widths: [4, 8], generator: new Generator(2) });
  const folder = temporaryFolder();
  const file = join(folder, 'theirs.safetensors');
  scope(() => {
    const theirs = (name: string) =>
      name.startsWith('layer') ? name.replace(/^layer(\d)\./, 'stages.$1.') : `stem.${name}`;
    const stored = [...source.stateDict()].map(([name, value]): [string, Tensor] => [
      `module.${theirs(name)}`,
      name === 'bn1.weight' ? value.view([4, 1]).mul(3) : value,
    ]);
    writeSafetensors(file, new Map(stored));
  });
  const before = liveTensors();
  loadWeights(target, file);
  expect(liveTensors()).toBe(before);
  const last = (backbone: SmallResNet) => backbone.stateDict().get('layer2.0.conv2.weight')!.tolist();
  expect(last(target)).toEqual(last(source));
  expect(target.bn1.weight!.tolist()).toEqual([3, 3, 3, 3]);
  using plain = new SmallResNet({ widths: [4, 8] });
  expect(() => loadWeights(plain, file)).toThrow(/do not fit small-resnet/);
});
