import { Argument, type Command } from 'commander';
import { complete, completionScript, type Shell, shells } from '../completion.js';

export function add(program: Command): undefined {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .addArgument(new Argument('<shell>').choices(shells))
    .addHelpText(
      'after',
      `
Put it where your shell starts:
  bash  echo 'source <(conquer completion bash)' >> ~/.bashrc
  zsh   echo 'source <(conquer completion zsh)' >> ~/.zshrc
  fish  echo 'conquer completion fish | source' >> ~/.config/fish/config.fish`,
    )
    .action((shell: Shell) => void process.stdout.write(completionScript(shell)));

  // What the scripts ask.
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action((words: string[]) => {
      for (const { value, about } of complete(program, words)) process.stdout.write(`${value}\t${about}\n`);
    });
}
