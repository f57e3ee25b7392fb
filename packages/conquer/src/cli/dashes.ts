import type { Command } from 'commander';

/**
 * The arguments with dashes in the names of options where they were typed with underscores, as argparse of Python shows
 * them: `--mod_epoch=2` is `--mod-epoch=2`. What is no option of the command stays as it was typed, for the message.
 *
 * @param known the command's options, `--name` each
 */
export function withDashes(args: readonly string[], known: readonly string[]): string[] {
  const end = args.indexOf('--');
  return args.map((arg, i) => {
    if (!arg.startsWith('--') || (end >= 0 && i >= end)) return arg;
    const [name = ''] = arg.split('=', 1);
    const dashed = name.replaceAll('_', '-');
    return known.includes(dashed) ? `${dashed}${arg.slice(name.length)}` : arg;
  });
}

/** The long names of a command's options. */
export function longNames(program: Command, command: string | undefined): string[] {
  const options = program.commands.find((each) => each.name() === command)?.options ?? [];
  return options.flatMap(({ long }) => long ?? []);
}
