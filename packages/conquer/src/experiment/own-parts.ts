import { commonFolder } from '@conquer-dml/run';
import type { View } from '../data/view.js';
import type { Dataset } from '../datasets/dataset.js';
import { Loss } from '../losses/loss.js';
import type { Miner } from '../miners/miner.js';
import { Backbone } from '../models/backbones/backbone.js';
import type { FeatureModule } from '../models/backbones/own-backbone.js';
import type { ExperimentInput } from './experiment.js';
import { optionsOf } from './part-options.js';

/** Code of one's own where a part could be named. It stays the caller's, but for a backbone: a network disposes its own. */
export interface OwnParts {
  dataset?: Dataset;
  augmentation?: View;
  backbone?: Backbone | FeatureModule;
  loss?: Loss;
  miner?: Miner;
}

type Without<Section, Name extends string> = Omit<NonNullable<Section>, Name>;

/** An experiment in which a data set, backbone, augmentation, loss or miner may be one's own. */
export interface ExperimentWithOwnParts extends Omit<ExperimentInput, 'data' | 'model' | 'loss' | 'miner'> {
  data?: Without<ExperimentInput['data'], 'dataset' | 'augmentation'> & {
    dataset?: NonNullable<ExperimentInput['data']>['dataset'] | Dataset;
    augmentation?: NonNullable<ExperimentInput['data']>['augmentation'] | View;
  };
  model?: Without<ExperimentInput['model'], 'backbone'> & {
    backbone?: NonNullable<ExperimentInput['model']>['backbone'] | Backbone | FeatureModule;
  };
  loss?: ExperimentInput['loss'] | Loss;
  miner?: ExperimentInput['miner'] | Miner;
}

const isDataset = (value: object): value is Dataset => 'train' in value && 'test' in value;
const isView = (value: object): value is View => 'cropping' in value;
const isBackbone = (value: object): value is Backbone | FeatureModule =>
  value instanceof Backbone || typeof (value as Partial<FeatureModule>).features === 'function';
const isMiner = (value: object): value is Miner => typeof (value as Partial<Miner>).mine === 'function';

/** What is written down of code: the name of its class, and its plain fields. */
const described = (part: object) => ({ own: part.constructor.name, options: optionsOf(part) });

/** Tells code from data: the experiment as it can be written down, and what was code in it. */
export function separateOwnParts(given: ExperimentWithOwnParts): {
  experiment: ExperimentInput;
  own: OwnParts;
} {
  const own: OwnParts = {};
  const experiment = { ...given } as ExperimentInput;
  const { dataset, augmentation } = given.data ?? {};
  if (dataset && isDataset(dataset)) {
    own.dataset = dataset;
    const images = [...dataset.test.paths, ...(dataset.gallery?.paths ?? []), ...dataset.train.paths];
    experiment.data = { ...experiment.data, dataset: { own: dataset.name, folder: commonFolder(images) } };
  }
  if (augmentation && isView(augmentation)) {
    own.augmentation = augmentation;
    experiment.data = { ...experiment.data, augmentation: { own: 'View' } };
  }
  const { backbone } = given.model ?? {};
  if (backbone && isBackbone(backbone)) {
    own.backbone = backbone;
    experiment.model = { ...experiment.model, backbone: { own: backbone.constructor.name } };
  }
  if (given.loss instanceof Loss) {
    own.loss = given.loss;
    experiment.loss = described(given.loss);
  }
  if (given.miner && isMiner(given.miner)) {
    own.miner = given.miner;
    experiment.miner = described(given.miner);
  }
  return { experiment, own };
}
