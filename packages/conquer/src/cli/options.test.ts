import { UserError } from '@conquer/run';
import { describe, expect, it } from 'vitest';
import { describeSettings, parseOption, resolveSettings, trainOptions } from './options.js';

describe('settings', () => {
  it('every default passes its own check', () => {
    const settings = resolveSettings();
    for (const [name, spec] of Object.entries(trainOptions)) {
      expect(parseOption(name as keyof typeof trainOptions, spec.default)).toEqual(
        settings[name as keyof typeof settings],
      );
    }
  });

  it('flags override recipes override defaults', () => {
    const settings = resolveSettings({ lr: 0.1, epochs: 3 }, { lr: '0.2' });
    expect([settings.lr, settings.epochs, settings['batch-size']]).toEqual([0.2, 3, 80]);
  });

  it('says where each setting is from', () => {
    const [recipe, flag] = [{ lr: 0.1, epochs: 3 }, { lr: '0.2' }];
    const lines = describeSettings(resolveSettings(recipe, flag), { recipe, flag }).split('\n');
    const words = (name: string) => lines.find((line) => line.startsWith(`--${name} `))?.split(/ +/);
    expect(words('lr')).toEqual(['--lr', '0.2', 'flag']);
    expect(words('epochs')).toEqual(['--epochs', '3', 'recipe']);
    expect(words('batch-size')).toEqual(['--batch-size', '80', 'default']);
    expect(words('weights')).toEqual(['--weights', '-', 'default']);
  });

  it.each([
    [{ 'batch-size': 'x' }, '--batch-size: expected an integer of at least 2, got "x"'],
    [{ 'batch-size': '1.5' }, '--batch-size: expected an integer of at least 2, got "1.5"'],
    [{ 'batch-size': '' }, '--batch-size: expected an integer of at least 2, got ""'],
    [{ lr: 'NaN' }, '--lr: expected a number of at least 0, got "NaN"'],
    [
      { 'features-dropout': '1' },
      '--features-dropout: expected a number of at least 0 and at most 0.99, got "1"',
    ],
    [{ masks: 'leaned' }, '--masks: expected one of learned, fixed, got "leaned" (did you mean learned?)'],
    [{ nonsense: 1 }, "unknown setting 'nonsense': conquer train --help-all lists them"],
    [{ epoch: 1 }, "unknown setting 'epoch' (did you mean epochs?): conquer train --help-all lists them"],
  ])('%j is refused', (layer, message) => {
    expect(() => resolveSettings(layer)).toThrow(new UserError(message));
  });
});
