import { counted } from '@conquer/run';
import type { Dataset } from '../datasets/dataset.js';
import { startsAtRandom, type TrainSettings } from './options.js';

/** The first lines of a run: what will happen, on which data, with which model, learners, device and threads. */
export function announcement(
  settings: TrainSettings,
  { dataset, threads, path }: { dataset: Dataset; threads: number; path: string },
): string {
  const { train, test, validation, gallery } = dataset;
  const chosen = validation
    ? `, ${validation.paths.length} of ${validation.classNames.length} to choose on`
    : '';
  const searched = gallery
    ? `, looked for among ${gallery.paths.length} of a gallery (never their own files)`
    : '';
  const tested =
    test.paths.length === 0
      ? 'all there are: nothing is left to test on'
      : `${test.paths.length} of ${test.classNames.length} unseen classes to test on`;
  const { arch, epochs, device } = settings;
  const weights = startsAtRandom(settings) ? '' : ` from ${settings.weights}`;
  const from = settings['divide-from'];
  const since = from > 0 ? ` from epoch ${from + 1} on` : '';
  const every = settings['mod-epoch'] === 1 ? 'epoch' : `${settings['mod-epoch']} epochs`;
  const learners =
    settings['num-learners'] === 1
      ? 'no division'
      : `${settings['num-learners']} learners${since} (${settings.masks} masks, redivided every ${every})`;
  return (
    `${dataset.name}: ${counted(train.paths.length, 'image')} of ${counted(train.classNames.length, 'class', 'classes')} to train on, ` +
    `${tested}${chosen}${searched}\n` +
    `${arch}${weights}, ${settings['image-size']} px, ${settings['embedding-dim']} dimensions, ` +
    `${settings.loss} loss, ${learners}\n` +
    `${counted(epochs, 'epoch')} on ${device}, ${counted(threads, 'thread')}; run folder ${path}\n`
  );
}
