import { didYouMean, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { firstOf } from '../option-error.js';
import type { Flag } from './flags.js';

/** What most people need, in words that fit a line: what `conquer train --help` shows, on one screen. */
const usual: Record<string, string> = {
  dataset: '',
  'dataset-dir': 'its folder; for folder: a subfolder for each class',
  split: 'classes that train: half, random, a file',
  'val-fraction': 'share of these that choose the best epoch',
  arch: '',
  weights: 'published (fetched once), a file, or none',
  'embedding-dim': 'dimensions of the embedding',
  'num-learners': 'learners; 1: no division [by the number of classes]',
  'mod-epoch': 'redivide every so many epochs',
  loss: '',
  miner: 'which tuples of a batch train',
  'batch-size': 'images a batch',
  'image-size': 'side of the images, in pixels',
  augmentation: '',
  epochs: 'epochs',
  lr: 'learning rate',
  device: 'cpu, or cuda:0, cuda:1, …',
};

/** In the place of a description: the first few choices. */
const MOST_CHOICES = 4;

function briefly({ name, choices, default: standard }: Flag): string {
  const few = choices.slice(0, MOST_CHOICES).join(', ');
  const words = usual[name] || (choices.length > MOST_CHOICES ? `${few}, …` : few);
  return standard === null ? words : `${words} [${standard}]`;
}

/** 'Loss and miner' is asked for as `--help loss`. */
const topicOf = (group: string) => group.split(' ')[0]!.toLowerCase();

const topicsOf = (flags: readonly Flag[]) => [...new Set(flags.map(({ group }) => topicOf(group)))];

export const trainHelpFooter = (flags: readonly Flag[]) => `
Everything: conquer train --help-all. A group: conquer train --help GROUP, of
${topicsOf(flags).join(', ')}.`;

/**
 * Settles which options the help of `conquer train` shows: the usual ones; all, by group, for `--help-all` or
 * `--help all`; one group for `--help GROUP`.
 *
 * @returns the arguments without the word after `--help`
 * @throws UserError for a group that there is not
 */
export function chooseHelp(train: Command, flags: readonly Flag[], args: readonly string[]): string[] {
  const topics = topicsOf(flags);
  const at = args.findIndex((arg) => ['--help', '-h', '--help-all'].includes(arg));
  if (at < 0) return [...args];
  const word = args[at + 1];
  const topic = args[at] === '--help-all' ? 'all' : word && !word.startsWith('-') ? word : null;
  if (topic !== null && topic !== 'all' && !topics.includes(topic)) {
    throw new UserError(
      `--help: expected all or one of ${topics.join(', ')}, got '${topic}'${didYouMean(topic, topics)}`,
    );
  }
  for (const option of train.options) {
    const name = option.long?.slice(2) ?? '';
    const flag = flags.find((known) => known.name === name);
    if (topic === null) {
      option.hidden = flag !== undefined && !(name in usual);
      if (flag && name in usual) option.description = briefly(flag);
    } else {
      const choices = firstOf(flag?.choices ?? []);
      if (choices !== '' && !option.description.includes(choices))
        option.description = `${option.description} (${choices})`;
      option.hidden = topic !== 'all' && (flag === undefined || topicOf(flag.group) !== topic);
      if (flag) option.helpGroup(`${flag.group}:`);
    }
  }
  return ['--help'];
}
