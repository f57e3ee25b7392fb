import { UserError } from '@conquer-dml/run';
import { Command } from 'commander';
import { VERSION } from '../version.js';
import { commands } from './commands/commands.js';
import { longNames, withDashes } from './dashes.js';
import { endWith } from './failure.js';

/**
 * The program, with the command that is asked for; with all where it is none of them, such as `help`.
 *
 * @returns it, and the arguments in its words
 */
async function programFor(name: string | undefined, typed: readonly string[]) {
  const program = new Command('conquer')
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .description('Deep metric learning by divide and conquer: train, evaluate and use image embeddings.')
    .version(VERSION)
    .addHelpText(
      'after',
      '\nExample: conquer demo\n         conquer train --recipe photos --dataset-dir PHOTOS --name mine',
    );
  const load = name === undefined ? undefined : commands[name];
  let args = typed;
  if (load) args = (await (await load()).add(program, typed)) ?? withDashes(typed, longNames(program, name));
  else for (const file of Object.values(commands)) await (await file()).add(program, []);
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ outputError: (text, write) => write(inOneLine(text)) });
  program.hook('preAction', (_, command) => {
    const empty = command.options.find((option) => command.getOptionValue(option.attributeName()) === '');
    if (empty) throw new UserError(`${empty.long}: expected a value, got ""`);
  });
  return { program, args: name === undefined ? [] : [name, ...args] };
}

const inOneLine = (text: string) =>
  `conquer: ${text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')}\n`;

// A reader that goes away, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (isGone(error)) return;
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
// Nor is a terminal: what SIGHUP stops is still to be saved.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (!isGone(error) && error.code !== 'EPIPE') throw error;
});

/** A terminal that was closed cannot be written to. */
function isGone({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EIO';
}

async function main(): Promise<void> {
  const [command, ...typed] = process.argv.slice(2);
  try {
    const { program, args } = await programFor(command, typed);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    await endWith(error, command);
  }
}

await main();
