import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { MarginLoss } from '../losses/margin.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { createModel } from '../models/create-model.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { TrainingStep } from '../train/step.js';
import {
  type Arithmetic,
  Comparison,
  FLOAT64,
  type GoldenCheck,
  readCases,
  readGoldenTensor,
  readIndices,
  readNumber,
  readObject,
  TOLERANCE,
} from './check.js';
import { calibrateBatchNorm, deterministicImages, setDeterministicWeights } from './deterministic-weights.js';

/**
 * training-trajectory.json: every loss of a short training through 1, 2 and 4 learners and the full embedding,
 * and the model it ends with. Model, loss, miner, optimiser and step are those that train.
 */
export const checkTrainingTrajectory: GoldenCheck = (cases, on = FLOAT64) => {
  const comparison = new Comparison(TOLERANCE[on.dtype]);
  for (const [i, item] of readCases(cases).entries()) {
    comparison.begin();
    checkCase(comparison, item, `${i}`, on);
  }
  return comparison.result;
};

function checkCase(
  comparison: Comparison,
  item: Record<string, unknown>,
  name: string,
  on: Arithmetic,
): void {
  const number = (field: string) => readNumber(item[field], `${field} of case ${name}`);
  const bias = readGoldenTensor(item.embeddingBias, `embeddingBias of case ${name}`);
  const labels = readIndices(item.labels, `labels of case ${name}`);
  const imageSize = number('imageSize');
  const salt = number('salt');
  const images = (step: number, batch: number) => deterministicImages(step, batch, imageSize, salt).to(on);

  using model = createModel('resnet18', {
    embeddingDim: number('embeddingDim'),
    dropout: 0,
    frozenBatchNorm: item.frozenBatchNorm === true,
    masks: { kind: item.fixedMasks === true ? 'fixed' : 'learned' },
  }).to(on);
  setDeterministicWeights(model, bias.data, salt);
  scope(() => calibrateBatchNorm(model, images(50, 12)));

  const wantBeta = readGoldenTensor(item.beta_final, `beta_final of case ${name}`).data;
  const numClasses = wantBeta.length > 1 ? wantBeta.length : undefined;
  using loss = new MarginLoss({ margin: number('margin'), beta: number('beta'), numClasses }).to(on);
  using optimizer = new TrainingOptimizer(model, loss, {
    learningRate: number('baseLearningRate'),
    weightDecay: number('weightDecay'),
    lossLearningRate: number('betaLearningRate'),
    onWarning: () => {}, // the case says which parameters train
    maskLearningRateMultiplier: number('maskLearningRate') / number('baseLearningRate'),
    maskWeightDecayMultiplier: number('maskWeightDecay') / number('weightDecay'),
  });
  const miner = new EasyPositiveMiner({ cutoff: number('easyPositiveCutoff') });
  const training = new TrainingStep({ model, loss, miner, optimizer, maskLambda: number('maskLambda') });

  for (const [step, want] of readCases(item.steps).entries()) {
    const what = `${name} step ${step}`;
    while (model.numLearners < readNumber(want.numLearners, `numLearners of ${what}`)) {
      model.doubleLearners();
      optimizer.replaceMasks();
    }
    const fullEmbedding = want.fullEmbedding === true;
    if (fullEmbedding) optimizer.removeMasks();
    const learner = readNumber(want.learner, `learner of ${what}`);
    const { metricLoss, maskLoss } = scope(() =>
      training.run({ images: images(step, number('batch')), labels, learner, fullEmbedding }),
    );
    comparison.close(
      `${what} metric loss`,
      [metricLoss ?? Number.NaN],
      [readNumber(want.metricLoss, 'metricLoss')],
    );
    comparison.close(`${what} mask loss`, [maskLoss ?? Number.NaN], [readNumber(want.maskLoss, 'maskLoss')]);
  }

  comparison.close(`${name} beta`, loss.beta.toNumbers(), wantBeta);
  checkModel(comparison, model, item, name);
  model.eval();
  noGrad(() =>
    scope(() => {
      const inference = readObject(item.inference, `inference of case ${name}`);
      const unseen = images(99, 4);
      const embedUnder = (masks: 'sum' | 'sum-l1') => {
        model.fullEmbeddingMasks = masks;
        return model.embed(unseen);
      };
      const results = {
        fullEmbedding: model.embed(unseen),
        penultimate: model.features(unseen),
        learner2: model.embed(unseen, { learner: 2 }),
        sumMasks: embedUnder('sum'),
        sumMasksL1: embedUnder('sum-l1'),
      };
      for (const [kind, got] of Object.entries(results)) {
        const want = readGoldenTensor(inference[kind], `${kind} of case ${name}`);
        comparison.close(`${name} inference ${kind}`, got.toNumbers(), want.data);
      }
    }),
  );
}

/** Masks, the first numbers of some parameters, and the norms of all. */
function checkModel(
  comparison: Comparison,
  model: EmbeddingModel,
  item: Record<string, unknown>,
  name: string,
): void {
  const state = model.stateDict();
  const numbers = (parameter: string): Float64Array => (state.get(parameter) as Tensor).toNumbers();
  const wantMasks = item.masks as unknown[];
  comparison.same(`${name} number of masks`, [model.masks.length], [wantMasks.length]);
  for (const [k, mask] of model.masks.entries()) {
    comparison.close(`${name} mask ${k}`, mask.toNumbers(), readGoldenTensor(wantMasks[k], `mask ${k}`).data);
  }
  for (const [parameter, value] of Object.entries(readObject(item.parameterHead, 'parameterHead'))) {
    const want = readGoldenTensor(value, parameter).data;
    comparison.close(`${name} ${parameter}`, numbers(parameter).subarray(0, want.length), want);
  }
  for (const [parameter, value] of Object.entries(readObject(item.parameterNorms, 'parameterNorms'))) {
    const norm = Math.sqrt(numbers(parameter).reduce((sum, x) => sum + x * x, 0));
    comparison.close(`${name} norm of ${parameter}`, [norm], [readNumber(value, parameter)]);
  }
}
