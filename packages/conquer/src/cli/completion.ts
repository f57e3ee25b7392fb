import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command, Option } from 'commander';
import { builtInParts } from '../experiment/experiment.js';
import { recipeNames } from '../experiment/recipe.js';
import { weightWords } from '../models/weights/weight-words.js';
import { flagsOf } from './flags.js';

/** What may stand at the cursor, and a few words about it. */
export interface Candidate {
  value: string;
  about: string;
}

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

// Each asks `conquer complete -- WORD…` (the last word is the one at the cursor) for lines "value<TAB>about", and
// completes files where there are none. Words are handed over as they are, never evaluated.
const scripts: Record<Shell, string> = {
  bash: `# conquer's completion for bash. In ~/.bashrc: source <(conquer completion bash)
_conquer() {
  local word="\${COMP_WORDS[COMP_CWORD]}" line
  [[ $word == '=' ]] && word=''
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    [[ $line == "$word"* ]] && COMPREPLY+=("$line")
  done < <(conquer complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _conquer conquer
`,
  zsh: `#compdef conquer
# conquer's completion for zsh. In ~/.zshrc, after compinit: source <(conquer completion zsh)
_conquer() {
  local line value about
  local -a found
  while IFS=$'\\t' read -r value about; do
    found+=("\${value//:/\\\\:}:$about")
  done < <(conquer complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe conquer found; else _files; fi
}
compdef _conquer conquer
`,
  fish: `# conquer's completion for fish. In ~/.config/fish/config.fish: conquer completion fish | source
function __conquer_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (conquer complete -- $words[2..-1] 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c conquer -f -a '(__conquer_complete)'
`,
};

/** The script that a shell reads to complete conquer's commands. */
export function completionScript(shell: Shell): string {
  return scripts[shell];
}

/** The runs in the folder of what was typed so far, by default in runs/. */
function runFolders(typed: string): Candidate[] {
  const folder = typed.includes('/') ? dirname(`${typed}x`) : 'runs';
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => existsSync(join(path, 'config.json')))
    .map((value) => ({ value, about: 'run' }));
}

const plain = (values: readonly string[]): Candidate[] => values.map((value) => ({ value, about: '' }));

/** The values of an option; none where it takes a file, a number or any text. */
function valuesOf(option: Option, typed: string): Candidate[] {
  const name = option.long?.slice(2) ?? '';
  if (option.argChoices) return plain(option.argChoices);
  const flag = flagsOf(builtInParts).find((known) => known.name === name);
  if (flag?.kind === 'choice') return plain(flag.choices);
  if (flag?.kind === 'truth') return plain(['yes', 'no']);
  switch (name) {
    case 'recipe':
      return plain(recipeNames());
    case 'from':
    case 'resume':
      return runFolders(typed);
    case 'device':
      return plain(['cpu', 'cuda:0']);
    case 'weights':
      return plain([...weightWords, 'none']);
    case 'split':
      return plain(['half', 'random']);
    default:
      return [];
  }
}

/** The positional arguments of a command; none where they are files. */
function argumentsOf(program: Command, command: Command, typed: string): Candidate[] {
  const [argument] = command.registeredArguments;
  if (argument?.argChoices) return plain(argument.argChoices);
  if (argument?.name().startsWith('run')) return runFolders(typed);
  return command.name() === 'help' ? commandsOf(program) : [];
}

function commandsOf(program: Command): Candidate[] {
  const commands = program.createHelp().visibleCommands(program);
  return commands.map((command) => ({ value: command.name(), about: command.description() }));
}

/** A line's length is limited: what is said about a candidate stands beside it. */
const brief = (text: string) => (text.length > 60 ? `${text.slice(0, 59)}…` : text);

/**
 * What may stand in the last of `words`, of those after the program's name. Candidates begin with what is typed there;
 * none means that a file may.
 */
export function complete(program: Command, words: readonly string[]): Candidate[] {
  // Bash hands `--option=value` over as three words.
  const all = words.at(-1) === '=' ? [...words, ''] : [...words];
  const typed = all.pop() ?? '';
  if (all.at(-1) === '=') all.pop();
  const name = all.find((word) => !word.startsWith('-'));
  const command = program.commands.find((candidate) => candidate.name() === name);
  const options = command?.options ?? program.options;
  const takesValue = (word: string) =>
    options.find((option) => option.long === word && (option.required || option.optional));
  const starting = (candidates: Candidate[], prefix = typed) =>
    candidates
      .filter(({ value }) => value.startsWith(prefix))
      .map(({ value, about }) => ({ value, about: brief(about) }));

  const [, long, value] = /^(--[\w-]+)=(.*)$/.exec(typed) ?? [];
  const joined = long === undefined ? undefined : takesValue(long);
  if (joined)
    return starting(valuesOf(joined, value ?? ''), value).map((candidate) => ({
      ...candidate,
      value: `${long}=${candidate.value}`,
    }));
  const option = takesValue(all.at(-1) ?? '');
  if (option) return starting(valuesOf(option, typed));
  if (typed.startsWith('-')) {
    const help = { value: '--help', about: 'show the help' };
    const named = options.map(({ long, description }) => ({ value: long ?? '', about: description }));
    return starting([...named, help]);
  }
  return starting(command ? argumentsOf(program, command, typed) : commandsOf(program));
}
