import { didYouMean, UserError } from '@conquer/run';
import type { Command } from 'commander';
import { isOptionName, type OptionName, type OptionSpec, trainOptions } from './options.js';

/** The settings that most people need, in words that fit a line: what `conquer train --help` shows, on one screen. */
const usual: Partial<Record<OptionName, string>> = {
  dataset: 'emoji, folder, csv, cub, cars, sop, inshop, vid',
  'dataset-dir': 'its folder; for folder: a subfolder for each class',
  split: 'training classes of a folder: half, random, a file',
  'val-fraction': 'share of these that choose the best epoch [0]',
  arch: 'resnet18, resnet50, bn-inception, … [resnet50]',
  weights: 'imagenet (fetched once), a file, or none',
  'embedding-dim': 'dimensions of the embedding [512]',
  'num-learners': 'learners in the end; 1: no division [4]',
  'mod-epoch': 'redivide every so many epochs [2]',
  loss: 'margin, triplet, npairs, proxy-nca, … [margin]',
  miner: 'which tuples of a batch train [distance-weighted]',
  'batch-size': 'images a batch [80]',
  'image-size': 'side of the images, in pixels [224]',
  augmentation: 'standard, geom-color, icons, none, … [standard]',
  epochs: 'epochs [100]',
  lr: 'learning rate [0.00001]',
  name: 'name of the run (default: data, model, time)',
  device: 'cpu, or cuda:0, cuda:1, … [cpu]',
};

/** 'Loss and miner' is asked for as `--help loss`. */
const topicOf = (group: string) => group.split(' ')[0]!.toLowerCase();

const topics = [...new Set(Object.values(trainOptions).map(({ group }) => topicOf(group)))];

export const trainHelpFooter = `
Everything: conquer train --help-all. A group: conquer train --help GROUP, of
${topics.join(', ')}.`;

/**
 * Settles which options the help of `conquer train` shows: the usual ones; all, by group, for `--help-all` or
 * `--help all`; one group for `--help GROUP`.
 *
 * @returns the arguments without the word after `--help`
 * @throws UserError for a group that there is not
 */
export function chooseHelp(train: Command, args: readonly string[]): string[] {
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
    const group = isOptionName(name) ? trainOptions[name].group : null;
    if (topic === null) {
      const brief = isOptionName(name) ? usual[name] : null;
      option.hidden = brief === undefined;
      if (brief) option.description = brief;
    } else {
      const spec: OptionSpec | null = isOptionName(name) ? trainOptions[name] : null;
      if (spec?.kind === 'choice' && !option.description.includes(spec.choices.join(', ')))
        option.description = `${option.description} (${spec.choices.join(', ')})`;
      option.hidden = topic !== 'all' && (group === null || topicOf(group) !== topic);
      if (group !== null) option.helpGroup(`${group}:`);
    }
  }
  return ['--help'];
}
