import { describe, expect, it } from 'vitest';
import { builtInParts } from '../experiment/experiment.js';
import { withDashes } from './dashes.js';
import { dcesmlFlags, dcesmlSwitches, translateDcesmlFlags } from './dcesml-flags.js';
import { flagsOf } from './flags.js';

const flags = flagsOf(builtInParts);
const known = flags.map(({ name }) => `--${name}`);

describe('the names of options', () => {
  it('may have underscores for dashes, all of them', () => {
    for (const { name } of flags) {
      const typed = `--${name.replaceAll('-', '_')}`;
      expect(withDashes([typed, '2'], known)).toEqual([`--${name}`, '2']);
      expect(withDashes([`${typed}=a_b=c`], known)).toEqual([`--${name}=a_b=c`]);
    }
  });

  it('may have them as old flags too', () => {
    const translated = (flag: string) => {
      try {
        return translateDcesmlFlags([`--${flag}`, 'ones'], flags).args;
      } catch (error) {
        return (error as Error).message.replaceAll('_', '-');
      }
    };
    for (const name of [...Object.keys(dcesmlFlags), ...Object.keys(dcesmlSwitches)])
      expect(translated(name.replaceAll('-', '_')), name).toEqual(translated(name));
  });

  it('stay as they were typed where there is no such option, and after --', () => {
    const args = ['--no_such_option', 'a_b', '-x_y', '--', '--mod_epoch'];
    expect(withDashes(args, known)).toEqual(args);
  });
});
