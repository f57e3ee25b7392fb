import { type Command, Option } from 'commander';

/** Of every command that embeds images with a model of whatever kind. */
export interface EmbeddingFlags {
  model?: string;
  arch?: string;
  revision?: string;
  checkpoint: 'best' | 'last';
  device?: string;
  threads?: string;
  onBadImage: 'skip' | 'fail';
  plugin?: string;
  json?: boolean;
}

/** Which model. */
export function modelFlags(command: Command): Command {
  return command
    .option(
      '--model <name>',
      'a run, a checkpoint file, or a published model (conquer models) [the built-in one]',
    )
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .option('--revision <name>', 'of a published model: a branch, a tag or a commit [main]');
}

/** With which of its weights, where, and what of images that cannot be read. */
export function embeddingFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--checkpoint <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .option('--threads <n>', 'of libtorch and of reading images [one a core]')
    .addOption(
      new Option('--on-bad-image <what>', 'images that cannot be read: leave them out, or end')
        .choices(['skip', 'fail'])
        .default('skip'),
    )
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON');
}
