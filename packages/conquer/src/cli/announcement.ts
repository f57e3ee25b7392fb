import { counted } from '@conquer-dml/run';
import { DivisionSchedule, scheduleOptions } from '../divide/schedule.js';
import { settled } from '../divide/usual-division.js';
import type { Experiment } from '../experiment/experiment.js';
import type { DatasetSizes, SplitSize } from '../train/observer.js';

type Choice = { name: string } | { own: string };
const nameOf = (part: Choice) => ('name' in part ? part.name : part.own);
/** 'circle', or '2 proxy-anchor + 0.1 koleo' of a sum. */
const lossNames = (loss: Choice | (Choice & { weight: number })[]) =>
  Array.isArray(loss)
    ? loss.map((one) => `${one.weight === 1 ? '' : `${one.weight} `}${nameOf(one)}`).join(' + ')
    : nameOf(loss);

/** '12 classes'; of pairs '12 groups (40 pairs)', a group being images that are the same. */
function classesOf({ classes, pairs }: SplitSize, what = ''): string {
  if (pairs === undefined) return counted(classes, `${what}class`, `${what}classes`);
  return `${counted(classes, `${what}group`)} (${counted(pairs, 'pair')})`;
}

/** 'no division', or '4 learners from epoch 3 on (…)'; how many of them the epochs reach, where learners double too late for all. */
function learnersOf(divide: Experiment['divide'], { masks }: Experiment['model'], epochs: number): string {
  const division = settled(divide);
  const { divideFrom, numLearners } = division;
  if (numLearners === 1) return 'no division';
  const { modEpoch, hierarchy, startLearners } = divide;
  const doubles = hierarchy === 'top-down' && numLearners > startLearners;
  const options = scheduleOptions.strip().parse({ ...divide, ...division });
  const reached = new DivisionSchedule(options).mostClusters(epochs);
  const since = divideFrom > 0 ? ` from epoch ${divideFrom + 1} on` : '';
  const few = reached < numLearners ? `, of which ${counted(epochs, 'epoch')} reach ${reached}` : '';
  const every = modEpoch === 1 ? 'epoch' : `${modEpoch} epochs`;
  return `${doubles ? 'up to ' : ''}${numLearners} learners${since}${few} (${masks.kind} masks, redivided every ${every})`;
}

/** The first lines of a run: what will happen, on which data, with which model, learners, device and threads. */
export function announcement(
  { model, loss, divide, train, data: section }: Experiment,
  { data, threads, path }: { data: DatasetSizes; threads: number; path: string },
): string {
  const { train: training, test, validation, gallery } = data;
  const chosen = validation
    ? `, ${validation.images} of ${validation.pairs === undefined ? validation.classes : classesOf(validation)} to choose on`
    : '';
  const searched = gallery ? `, looked for among ${gallery.images} of a gallery (never their own files)` : '';
  const tested =
    test.images === 0
      ? 'all there are: nothing is left to test on'
      : `${test.images} of ${classesOf(test, 'unseen ')} to test on`;
  const weights = model.weights === null ? '' : ` from ${model.weights}`;
  return (
    `${data.name}: ${counted(training.images, 'image')} of ${classesOf(training)} to train on, ` +
    `${tested}${chosen}${searched}\n` +
    `${nameOf(model.backbone)}${weights}, ${section.imageSize} px, ${model.embeddingDim} dimensions, ` +
    `${lossNames(loss)} loss, ${learnersOf(divide, model, train.epochs)}\n` +
    `${counted(train.epochs, 'epoch')} on ${train.device}, ${counted(threads, 'thread')}; run folder ${path}\n`
  );
}
