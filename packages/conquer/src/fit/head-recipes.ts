import { divisionPays } from '../divide/usual-division.js';
import type { Experiment, ExperimentInput } from '../experiment/experiment.js';
import { withDivision } from '../experiment/settle-division.js';

/** A head that a fit tries: how it is made and trained, as an experiment has it. */
export interface HeadRecipe {
  name: string;
  help: string;
  experiment: ExperimentInput;
}

/** Epochs between the divisions of a divided head; an epoch is so many steps as `stepsPerEpoch` says. */
const MOD_EPOCH = 2;

/** Of all heads, where they do not say otherwise. */
export const headDefaults: ExperimentInput = {
  data: { sampler: { name: 'class-balanced' }, batchSize: 128, samplesPerClass: 4 },
  model: { embeddingDim: 512, dropout: 0 },
  loss: { name: 'multi-similarity' },
  divide: { numLearners: 1 },
  optimize: {
    optimizer: { name: 'adam' },
    learningRate: 1e-4,
    lossLearningRate: 1e-3,
    weightDecay: 1e-4,
    maskLearningRateMultiplier: 10,
  },
};

const divided: ExperimentInput['divide'] = {
  numLearners: 4,
  hierarchy: 'none',
  divideFrom: MOD_EPOCH,
  modEpoch: MOD_EPOCH,
  clusterLayer: 'final',
};

/** What is tried where nothing is named. */
export const headRecipes: readonly HeadRecipe[] = [
  { name: 'linear', help: 'one linear layer', experiment: { model: { head: { name: 'linear' } } } },
  {
    name: 'mlp',
    help: 'a hidden layer, and a linear one',
    experiment: { model: { head: { name: 'mlp', hidden: [512] } } },
  },
  {
    name: 'divided',
    help: "a linear layer, its dimensions under learners' masks, each trained on its cluster",
    experiment: { model: { head: { name: 'linear' } }, divide: divided },
  },
];

/** How a head divides that does not say when: not before the first division of the divided head. */
export const settledHead = (experiment: Experiment): Experiment => {
  const { numLearners } = experiment.divide;
  const divideFrom = (numLearners ?? 1) > 1 ? MOD_EPOCH : 0;
  return withDivision(experiment, { numLearners: 1, divideFrom });
};

/** Whether a head is tried of so many classes where none is named; the run in the end trains on them all. */
export const isTried = ({ name }: HeadRecipe, classes: number): boolean =>
  name !== 'divided' || divisionPays(classes);
