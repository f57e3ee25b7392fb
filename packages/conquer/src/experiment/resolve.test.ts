import { describe, expect, it } from 'vitest';
import { OptionError } from '../option-error.js';
import type { ExperimentInput } from './experiment.js';
import { resolveExperiment } from './resolve.js';

/** What people write is not checked by a compiler. */
const resolve = (input: unknown) => resolveExperiment(input as ExperimentInput);

describe('resolveExperiment', () => {
  it('gives everything its default, once and for all', () => {
    const all = resolve({});
    expect(Object.keys(all)).toEqual([
      'data',
      'model',
      'loss',
      'miner',
      'divide',
      'optimize',
      'train',
      'evaluate',
      'track',
      'compat',
    ]);
    expect(all.loss).toMatchObject({ name: 'margin', beta: 1.2 });
    expect(resolve(all)).toEqual(all);
    expect(resolve(JSON.parse(JSON.stringify(all)))).toEqual(all);
  });

  it('gives the options of the default part where its name is left out', () => {
    const experiment = resolve({ loss: { beta: 1 }, optimize: { optimizer: { beta2: 0.9 } } });
    expect(experiment.loss).toMatchObject({ name: 'margin', beta: 1 });
    expect(experiment.optimize.optimizer).toMatchObject({ name: 'adam', beta2: 0.9 });
  });

  it('settles what follows from other fields where they are left open', () => {
    const start = (model: object, optimize = {}) => {
      const resolved = resolve({ model, optimize });
      return [resolved.model.batchNorm, resolved.optimize.learningRate];
    };
    expect(start({})).toEqual(['trained', 0.001]);
    expect(start({ weights: 'imagenet' })).toEqual(['frozen', 0.00001]);
    expect(start({ weights: 'imagenet', batchNorm: 'trained' }, { learningRate: 0.5 })).toEqual([
      'trained',
      0.5,
    ]);
    expect(resolve({ data: { imageSize: 64, resize: 80 } }).data.resize).toBe(80);
    expect(resolve({ data: { imageSize: 224 } }).data.resize).toBe(256);
    expect(resolve({ data: { imageSize: 300 } }).data.resize).toBeGreaterThanOrEqual(300);
  });

  it.each([
    ['vit_base_patch16_224.augreg2_in21k_ft_in1k', 224, 248],
    ['vit_small_patch14_dinov2.lvd142m', 518, 518],
    ['vit_small_patch14_dinov2.lvd142m', 224, 224],
    ['facebook/dinov2-small', 224, 256],
    ['convnext_tiny', 224, 235],
    ['resnet50', 224, 256],
  ])('takes what %s was evaluated with: at %i pixels the short side is %i', (name, imageSize, resize) => {
    const model = { backbone: { name } } as ExperimentInput['model'];
    expect(resolve({ model, data: { imageSize } }).data.resize).toBe(resize);
    expect(resolve({ model, data: { imageSize, resize: imageSize + 3 } }).data.resize).toBe(imageSize + 3);
  });

  it.each<[unknown, string, RegExp]>([
    [
      { train: { epohcs: 3 } },
      'train.epohcs',
      /^unknown option \(did you mean epochs\?\); expected epochs, seed/,
    ],
    [{ trian: {} }, 'trian', /^unknown option \(did you mean train\?\); expected data, model/],
    [
      { loss: { name: 'margin', betta: 1 } },
      'loss.betta',
      /^unknown option \(did you mean beta\?\); expected/,
    ],
    [{ loss: { name: 'triplet', beta: 1 } }, 'loss.beta', /^unknown option.*; expected name, margin/],
    [
      { loss: { name: 'margn' } },
      'loss.name',
      /^expected one of margin, .*, got "margn" \(did you mean margin\?\)/,
    ],
    [{ loss: 'margin' }, 'loss', /^expected an object with a name of margin, .*, got "margin"/],
    [{ loss: { name: 'margin', margin: -1 } }, 'loss.margin', /^expected a number of at least 0, got -1$/],
    [{ data: { batchSize: 1.5 } }, 'data.batchSize', /^expected an integer of at least 2, got 1\.5$/],
    [{ data: { batchSize: '80' } }, 'data.batchSize', /^expected an integer of at least 2, got "80"$/],
    [{ data: { cache: 'yes' } }, 'data.cache', /^expected true or false, got "yes"$/],
    [
      { optimize: { learningRate: Number.NaN } },
      'optimize.learningRate',
      /^expected a number of at least 0.*, got NaN/,
    ],
    [
      { model: { dropout: 1 } },
      'model.dropout',
      /^expected a number of at least 0 and at most 0\.99, got 1$/,
    ],
    [
      { model: { masks: { kind: 'leaned' } } },
      'model.masks.kind',
      /^expected one of learned, fixed, nested, got "leaned" \(did you mean learned\?\)$/,
    ],
    [
      { model: { backbone: { name: 'small-resnet', widths: 4 } } },
      'model.backbone.widths',
      /^expected a list/,
    ],
    [{ data: { dataset: { name: 'cub' } } }, 'data.dataset.folder', /^expected .*, got nothing$/],
    [{ data: { dataset: 'cub' } }, 'data.dataset', /^expected an object with a name of emoji, .*, got "cub"/],
    [{ track: [{ name: 'wandb' }] }, 'track.0.project', /^expected .*, got nothing$/],
    [{ data: { imageSize: 64, resize: 32 } }, 'data.resize', /^expected data\.imageSize, 64, or more/],
    [
      { compat: 'dcsml' },
      'compat',
      /^expected one of dcesml, revisiting-dml or null, got "dcsml" \(did you mean dcesml/,
    ],
    [[], '', /^expected an object, got \[\]$/],
    [null, '', /^expected an object, got null$/],
  ])('%j is refused with its path', (input, path, problem) => {
    let error: unknown;
    try {
      resolve(input);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(OptionError);
    expect([(error as OptionError).path, (error as OptionError).problem]).toEqual([
      path,
      expect.stringMatching(problem),
    ]);
    expect((error as OptionError).message).not.toContain('\n');
  });
});
