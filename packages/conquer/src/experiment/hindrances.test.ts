import { describe, expect, it } from 'vitest';
import { resolveSettings } from './options.js';
import { readRecipe } from './recipe.js';
import { isDefaultStart, refuseDefaultStart, startWarning } from './start.js';

const warning = (flags: Record<string, unknown>) => startWarning(resolveSettings(flags));
const refuse = (...layers: Record<string, unknown>[]) => {
  if (isDefaultStart(...layers)) refuseDefaultStart(resolveSettings(...layers));
};

describe('a start that cannot learn', () => {
  it.each([
    [{ lr: 1e-3 }, /BatchNorm is frozen at statistics/],
    [{ bn: 'trained', lr: 1e-6 }, /next to nothing at a learning rate of 0.000001/],
    [{ weights: 'none', lr: 1e-3 }, /BatchNorm is frozen/],
    [{ arch: 'alexnet' }, /next to nothing at a learning rate of 0.00001:/],
    [{ weights: 'imagenet', lr: 0 }, /a learning rate of 0 leaves backbone and embedding/],
  ])('is warned of: %j', (flags, expected) => {
    expect(warning(flags)).toMatch(expected);
  });

  it('is none with pretrained weights, or random ones that are trained as such', () => {
    expect(warning({ weights: 'imagenet' })).toBe(null);
    expect(warning({ weights: 'resnet50.pth' })).toBe(null);
    expect(warning({ bn: 'trained', lr: 1e-3 })).toBe(null);
    expect(warning({ arch: 'vgg11', lr: 1e-3 })).toBe(null);
  });

  it('is refused where nothing was said of it', () => {
    for (const layers of [
      [{}],
      [{ arch: 'resnet18', epochs: 2 }],
      [{ 'image-size': 64 }, { 'num-learners': 1 }],
    ])
      expect(() => refuse(...layers)).toThrow(
        /--weights imagenet, or --recipe photos .*--weights none --bn trained/,
      );
    for (const said of [{ weights: 'none' }, { bn: 'frozen' }, { lr: 1e-5 }, { weights: 'imagenet' }])
      expect(() => refuse(said)).not.toThrow();
  });
});

describe('the recipes', () => {
  it.each(['demo', 'sop', 'cub', 'dc2019', 'photos', 'emoji-margin'])('%s can learn', (name) => {
    expect(warning(readRecipe(name).settings)).toBe(null);
  });

  it('start without pretrained weights where that is said', () => {
    expect(resolveSettings(readRecipe('sop').settings, { weights: 'none' }).weights).toBe('none');
  });
});
