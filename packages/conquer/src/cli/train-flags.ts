import { type Command, Option } from 'commander';
import { builtInParts, type Parts } from '../experiment/experiment.js';
import { withPlugins } from '../experiment/plugin.js';
import { type Flag, flagsOf } from './flags.js';

/** The parts that a command line names: those of the program, and of the files given with `--plugin`. */
export async function partsOf(args: readonly string[]): Promise<Parts> {
  const files = args.flatMap((arg, i) => {
    if (arg.startsWith('--plugin=')) return [arg.slice('--plugin='.length)];
    return arg === '--plugin' && args[i + 1] !== undefined ? [args[i + 1]!] : [];
  });
  return files.length === 0 ? builtInParts : await withPlugins(builtInParts, files);
}

/** Gives a command the flags of an experiment; only those that are wanted, where that is said. */
export function addFlags(
  command: Command,
  parts: Parts,
  isWanted: (flag: Flag) => boolean = () => true,
): readonly Flag[] {
  const flags = flagsOf(parts).filter(isWanted);
  for (const flag of flags) command.addOption(optionFor(flag));
  return flags;
}

function optionFor({ name, kind, help, choices, default: standard }: Flag): Option {
  const value = { integer: 'n', number: 'x', choice: 'name', truth: 'name', list: 'list', text: 'text' }[
    kind
  ];
  const listed = kind === 'truth' ? ['yes', 'no'] : choices;
  const shown = listed.length > 0 && listed.length <= 4 ? ` (${listed.join(', ')})` : '';
  const by = standard === null ? '' : ` [${standard}]`;
  const bare = kind === 'truth';
  const option = new Option(bare ? `--${name} [${value}]` : `--${name} <${value}>`, `${help}${shown}${by}`);
  return bare ? option.preset('yes') : option;
}

/** The flags that were given, by their names, and their texts. */
export function givenFlags(command: Command, names: readonly string[]): Record<string, string> {
  const given: Record<string, string> = {};
  for (const name of names) {
    const attribute = name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (command.getOptionValueSource(attribute) === 'cli')
      given[name] = String(command.getOptionValue(attribute));
  }
  return given;
}
