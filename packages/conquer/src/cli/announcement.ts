import { counted } from '@conquer-dml/run';
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
  const { divideFrom, modEpoch, numLearners } = divide;
  const since = divideFrom > 0 ? ` from epoch ${divideFrom + 1} on` : '';
  const every = modEpoch === 1 ? 'epoch' : `${modEpoch} epochs`;
  const learners =
    numLearners === 1
      ? 'no division'
      : `${numLearners} learners${since} (${model.masks.kind} masks, redivided every ${every})`;
  return (
    `${data.name}: ${counted(training.images, 'image')} of ${classesOf(training)} to train on, ` +
    `${tested}${chosen}${searched}\n` +
    `${nameOf(model.backbone)}${weights}, ${section.imageSize} px, ${model.embeddingDim} dimensions, ` +
    `${lossNames(loss)} loss, ${learners}\n` +
    `${counted(train.epochs, 'epoch')} on ${train.device}, ${counted(threads, 'thread')}; run folder ${path}\n`
  );
}
