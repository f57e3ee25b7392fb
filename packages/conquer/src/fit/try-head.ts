import { F } from '@conquer-dml/torch';
import type { Experiment } from '../experiment/experiment.js';
import type { ClassSplit } from './class-splits.js';
import { photosOf } from './class-splits.js';
import { EPOCH_STEPS, PATIENCE } from './fit-options.js';
import { embedded, type Score, scoreOf, trainHead } from './head-training.js';
import type { KeptFeatures } from './keep-features.js';
import type { AbsentNetwork } from './kept-backbone.js';
import type { LabelledPhotos } from './kept-data.js';
import type { KeptResults } from './kept-results.js';

/** What trainings of heads have in common. */
export interface HeadTrials {
  kept: KeptFeatures;
  network: AbsentNetwork;
  /** (N,) the class of each photo. */
  labels: Int32Array;
  /** The category of each class, by label, where the data set says it. */
  categories?: readonly string[] | undefined;
  results: KeptResults;
  onSteps?: (steps: number) => void;
  signal?: AbortSignal | undefined;
}

/** The best look at the held-out classes. */
export interface Found {
  /** Epochs trained by then, at least 1. */
  epochs: number;
  validation: Score;
}

/** An experiment whose epochs have about `EPOCH_STEPS` steps on so many photos. */
export function withEpochs(experiment: Experiment, photos: number, epochs: number): Experiment {
  const { data, train } = experiment;
  const pass = Math.max(1, Math.floor(photos / data.batchSize));
  const passesPerEpoch = Math.max(1, Math.round(EPOCH_STEPS / pass));
  return { ...experiment, data: { ...data, passesPerEpoch }, train: { ...train, epochs } };
}

/** Trains on the split's first classes, and looks after each epoch how its held-out ones are retrieved. */
export async function searchLength(
  experiment: Experiment,
  split: ClassSplit,
  epochs: number,
  trials: HeadTrials,
): Promise<Found> {
  const { kept, labels, categories, results, signal } = trials;
  const train = photosOf(split.fitted, labels, kept.bad, categories);
  const held = photosOf(split.validation, labels, kept.bad);
  const whole = withEpochs(experiment, train.photos.length, epochs);
  return await results.get(keyOf('search', whole, trials, split), async () => {
    let best: Found | null = null;
    using _ = await trainHead({
      ...{ experiment: whole, train, signal, kept, network: trials.network },
      ...(trials.onSteps && { onSteps: trials.onSteps }),
      onEpoch(epoch, model) {
        using rows = embedded(model, kept, held.photos);
        const validation = scoreOf(rows, held.labels, signal);
        if (best === null || validation.mapAtR > best.validation.mapAtR)
          best = { epochs: epoch + 1, validation };
        return epoch + 1 >= best.epochs + PATIENCE;
      },
    });
    return best!;
  });
}

/** Trains on some classes for so many epochs, and measures the split's test classes. */
export async function testHead(
  experiment: Experiment,
  classes: Int32Array,
  split: ClassSplit,
  epochs: number,
  trials: HeadTrials,
): Promise<Score> {
  const { kept, labels, categories, results, signal } = trials;
  const train = photosOf(classes, labels, kept.bad, categories);
  const whole = withEpochs(experiment, train.photos.length, epochs);
  return await results.get(keyOf('test', whole, trials, { ...split, fitted: classes }), async () => {
    using model = await trainHead({
      ...{ experiment: whole, train, signal, kept, network: trials.network },
      ...(trials.onSteps && { onSteps: trials.onSteps }),
    });
    return measured(
      photosOf(split.test, labels, kept.bad),
      (photos) => embedded(model, kept, photos),
      signal,
    );
  });
}

function measured(
  { photos, labels }: LabelledPhotos,
  embed: (photos: Int32Array) => ReturnType<typeof embedded>,
  signal: AbortSignal | undefined,
): Score {
  using rows = embed(photos);
  return scoreOf(rows, labels, signal);
}

/** The network without a head: its features, brought to length 1. */
export function frozenScore(
  classes: Int32Array,
  { kept, labels, signal }: Pick<HeadTrials, 'kept' | 'labels' | 'signal'>,
): Score {
  return measured(
    photosOf(classes, labels, kept.bad),
    (photos) => {
      using rows = kept.plain(photos);
      return F.normalize(rows);
    },
    signal,
  );
}

function keyOf(
  what: string,
  experiment: Experiment,
  { kept, labels, categories }: HeadTrials,
  split: ClassSplit,
): object {
  const { data, track, ...trained } = experiment;
  const { dataset, ...sampled } = data;
  return {
    ...{ version: 1, what, features: kept.key, trained, sampled, patience: PATIENCE },
    classes: Object.values(split).map((list) => (typeof list === 'number' ? list : [...list])),
    labels: [...labels],
    // Most have none, and what is kept of those stays theirs.
    ...(categories && { categories }),
  };
}
