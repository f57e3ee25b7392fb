import { type Command, InvalidArgumentError, Option } from 'commander';
import { type AskedPrecision, precisions } from '../precision.js';

/** Of every command that embeds images with a model of whatever kind. */
export interface EmbeddingFlags {
  model?: string;
  arch?: string;
  revision?: string;
  checkpoint: 'best' | 'last';
  device?: string;
  precision?: AskedPrecision;
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
    .option('--revision <name>', 'of a published model: branch, tag or commit [main]');
}

/** What the network is computed in, with what it is where nothing is said. */
export function precisionOption(usual: string): Option {
  return new Option('--precision <name>', `float32, bfloat16, or auto: the faster ${usual}`).argParser(
    (text) => {
      if ((precisions as readonly string[]).includes(text)) return text;
      throw new InvalidArgumentError(`Allowed choices are ${precisions.join(', ')}.`);
    },
  );
}

/** With which of its weights, where, and what of images that cannot be read. */
export function embeddingFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--checkpoint <which>', 'which weights of a run').choices(['best', 'last']).default('best'),
    )
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .addOption(precisionOption('[float32]'))
    .option('--threads <n>', 'of libtorch and of reading images [one a core]')
    .addOption(
      new Option('--on-bad-image <what>', 'images that cannot be read: leave them out, or end')
        .choices(['skip', 'fail'])
        .default('skip'),
    )
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON');
}
